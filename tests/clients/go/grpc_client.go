// Calls a server by gRPC's client for Go, and prints what came back as JSON; then waits for a line of input while the
// server is replaced, and calls again on the same connection. Arguments: HOST:PORT, a file with descriptors, and for TLS a file
// with the certificate of the CA.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const (
	service = "pfs_v2.API"
	large   = 19 << 20
	tooMuch = 21 << 20
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type client struct {
	conn    *grpc.ClientConn
	methods protoreflect.MethodDescriptors
}

// A request of a method, filled from JSON.
func (c client) request(method, text string) proto.Message {
	message := dynamicpb.NewMessage(c.methods.ByName(protoreflect.Name(method)).Input())
	check(protojson.Unmarshal([]byte(text), message))
	return message
}

// An empty answer of a method.
func (c client) answer(method string) proto.Message {
	return dynamicpb.NewMessage(c.methods.ByName(protoreflect.Name(method)).Output())
}

func (c client) unary(ctx context.Context, method, request string, options ...grpc.CallOption) (proto.Message, error) {
	answer := c.answer(method)
	err := c.conn.Invoke(ctx, "/"+service+"/"+method, c.request(method, request), answer, options...)
	return answer, err
}

func (c client) serverStream(ctx context.Context, method, request string, each func(proto.Message)) error {
	description := &grpc.StreamDesc{ServerStreams: true}
	stream, err := c.conn.NewStream(ctx, description, "/"+service+"/"+method)
	if err != nil {
		return err
	}
	check(stream.SendMsg(c.request(method, request)))
	check(stream.CloseSend())
	for {
		answer := c.answer(method)
		if err := stream.RecvMsg(answer); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		each(answer)
	}
}

// Puts files into a repo in one commit.
func (c client) upload(ctx context.Context, repo string, files map[string][]byte, options ...grpc.CallOption) error {
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/"+service+"/ModifyFile", options...)
	if err != nil {
		return err
	}
	check(stream.SendMsg(c.request("ModifyFile", `{"setCommit": `+commit(repo)+`}`)))
	for path, content := range files {
		encoded, err := json.Marshal(content) // base64, as in the JSON of protobuf
		check(err)
		request := fmt.Sprintf(`{"addFile": {"path": %q, "raw": %s}}`, path, encoded)
		if err := stream.SendMsg(c.request("ModifyFile", request)); err != nil && err != io.EOF {
			return err
		}
	}
	check(stream.CloseSend())
	return stream.RecvMsg(c.answer("ModifyFile"))
}

func repoOf(name string) string {
	return fmt.Sprintf(`{"name": %q, "type": "user", "project": {"name": "default"}}`, name)
}

func commit(repo string) string {
	return fmt.Sprintf(`{"branch": {"name": "master", "repo": %s}}`, repoOf(repo))
}

func field(message proto.Message, path ...string) string {
	text, err := protojson.Marshal(message)
	check(err)
	var value any
	check(json.Unmarshal(text, &value))
	for _, name := range path {
		value, _ = value.(map[string]any)[name].(any)
	}
	return fmt.Sprint(value)
}

func main() {
	data, err := os.ReadFile(os.Args[2])
	check(err)
	set := &descriptorpb.FileDescriptorSet{}
	check(proto.Unmarshal(data, set))
	files, err := protodesc.NewFiles(set)
	check(err)
	check(registerAll(files))
	descriptor, err := files.FindDescriptorByName(service)
	check(err)
	sizes := grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(tooMuch), grpc.MaxCallSendMsgSize(2*tooMuch))
	security := insecure.NewCredentials()
	if len(os.Args) > 3 {
		security, err = credentials.NewClientTLSFromFile(os.Args[3], "")
		check(err)
	}
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(security), sizes)
	check(err)
	c := client{conn, descriptor.(protoreflect.ServiceDescriptor).Methods()}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	result := map[string]any{}

	health, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	check(err)
	result["health"] = health.Status.String()

	reflection, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	check(err)
	list := &grpc_reflection_v1.ServerReflectionRequest_ListServices{}
	check(reflection.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: list}))
	answer, err := reflection.Recv()
	check(err)
	check(reflection.CloseSend())
	result["reflected"] = strings.Contains(answer.String(), service)

	repo := "client-go"
	_, err = c.unary(ctx, "CreateRepo", `{"repo": `+repoOf(repo)+`}`)
	check(err)
	tagged := metadata.AppendToOutgoingContext(ctx, "x-client", "go", "x-client-bin", "\x00\xff")
	info, err := c.unary(tagged, "InspectRepo", `{"repo": `+repoOf(repo)+`}`, grpc.UseCompressor(gzip.Name))
	check(err)
	result["inspected"] = field(info, "repo", "name") == repo

	_, err = c.unary(ctx, "InspectRepo", `{"repo": `+repoOf("none")+`}`)
	result["missing"] = int(status.Code(err))
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			result["domain"] = info.Domain
		}
	}

	check(c.upload(ctx, repo, map[string][]byte{"/a": []byte("a"), "/b": []byte("b")}, grpc.UseCompressor(gzip.Name)))
	paths := []string{}
	request := `{"file": {"commit": ` + commit(repo) + `, "path": "/"}}`
	check(c.serverStream(ctx, "ListFile", request, func(info proto.Message) {
		paths = append(paths, field(info, "file", "path"))
	}))
	result["uploaded"] = paths

	check(c.upload(ctx, repo, map[string][]byte{"/large": make([]byte, large)}))
	length := 0
	request = `{"file": {"commit": ` + commit(repo) + `, "path": "/large"}}`
	check(c.serverStream(ctx, "GetFile", request, func(piece proto.Message) {
		length += len(piece.ProtoReflect().Get(piece.ProtoReflect().Descriptor().Fields().ByName("value")).Bytes())
	}))
	result["large"] = length
	result["beyond"] = int(status.Code(c.upload(ctx, repo, map[string][]byte{"/beyond": make([]byte, tooMuch)})))

	follow := `{"repo": ` + repoOf(repo) + `, "branch": "none"}`
	short, end := context.WithTimeout(ctx, 300*time.Millisecond)
	result["late"] = int(status.Code(c.serverStream(short, "SubscribeCommit", follow, func(proto.Message) {})))
	end()
	cancelled, end := context.WithCancel(ctx)
	request = `{"repo": ` + repoOf(repo) + `, "branch": "master", "state": "STARTED"}`
	result["cancelled"] = int(status.Code(c.serverStream(cancelled, "SubscribeCommit", request, func(proto.Message) { end() })))

	show(result)
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
	_, err = c.unary(ctx, "InspectRepo", `{"repo": `+repoOf(repo)+`}`, grpc.WaitForReady(true))
	show(map[string]any{"again": int(status.Code(err)) == int(codes.OK)})
}

// Makes the messages known to what reads and writes JSON.
func registerAll(files *protoregistry.Files) (err error) {
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if _, known := protoregistry.GlobalFiles.FindFileByPath(file.Path()); known != nil {
			err = protoregistry.GlobalFiles.RegisterFile(file)
		}
		return err == nil
	})
	return err
}

func show(result map[string]any) {
	text, err := json.Marshal(result)
	check(err)
	fmt.Println(string(text))
}
