package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// The protocol's version. It changes with every change of a message's meaning; worker and launcher come from
// the same image, so a difference means that two images were mixed.
const protocolVersion = 2

// Bytes of one frame. What a kernel takes as arguments and environment is 2 MiB by default, 6 MiB at most;
// six times that for JSON's escapes.
const maxFrame = 40 << 20

// A message of the worker: one field is set.
type request struct {
	Hello *hello   `json:"hello,omitempty"`
	Start *program `json:"start,omitempty"`
	Kill  bool     `json:"kill,omitempty"`
	// The running command waits for the worker, which takes its files.
	HandOver *handOver `json:"hand_over,omitempty"`
}

// A message of the launcher: one field is set.
type reply struct {
	Ready   *ready    `json:"ready,omitempty"`
	Started *started  `json:"started,omitempty"`
	Refused *obstacle `json:"refused,omitempty"`
	Ended   *ending   `json:"ended,omitempty"`
	// The files are the worker's.
	Handed bool `json:"handed,omitempty"`
}

type hello struct {
	Version int `json:"version"`
	// The folder that commands see as /pfs.
	Pfs string `json:"pfs"`
	// Name of the worker's own folder in it, which the launcher does not touch.
	Hidden string `json:"hidden"`
}

type ready struct {
	Version int `json:"version"`
}

type program struct {
	Argv []string          `json:"argv"`
	Env  map[string]string `json:"env"`
	// Empty: the container's own.
	Cwd string `json:"cwd"`
	// The command's folder for temporary files, handed over to the worker at its end.
	Tmp string `json:"tmp"`
}

type handOver struct {
	// The command's folder for temporary files.
	Tmp string `json:"tmp"`
}

type started struct {
	Pid int `json:"pid"`
}

type ending struct {
	// Exit code, or the negative number of the signal that killed it.
	Status int `json:"status"`
	// Whether the kernel killed a process of this container for lack of memory meanwhile.
	OutOfMemory bool `json:"out_of_memory"`
	// Processes that the kernel does not end.
	Immortal int `json:"immortal"`
	// Of the command and all that it waited for or left behind.
	CPUSeconds float64 `json:"cpu_seconds"`
	// Bytes of the largest single process.
	PeakMemory int64 `json:"peak_memory"`
}

// readFrame returns the next frame and the descriptor that came with it, or -1.
func readFrame(connection *net.UnixConn, into any) (int, error) {
	var header [4]byte
	rights := make([]byte, syscall.CmsgSpace(4))
	count, size, _, _, err := connection.ReadMsgUnix(header[:], rights)
	if err != nil {
		return -1, err
	}
	if count == 0 {
		return -1, io.EOF
	}
	descriptor, err := descriptorIn(rights[:size])
	if err != nil {
		return -1, err
	}
	if err := readBody(connection, header, count, into); err != nil {
		if descriptor >= 0 {
			syscall.Close(descriptor)
		}
		return -1, err
	}
	return descriptor, nil
}

func readBody(connection io.Reader, header [4]byte, have int, into any) error {
	if _, err := io.ReadFull(connection, header[have:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(header[:])
	if length > maxFrame {
		return fmt.Errorf("a frame of %d bytes is longer than any command may be, %d", length, maxFrame)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(connection, body); err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

func descriptorIn(rights []byte) (int, error) {
	if len(rights) == 0 {
		return -1, nil
	}
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return -1, err
	}
	for _, message := range messages {
		descriptors, err := syscall.ParseUnixRights(&message)
		if err == nil && len(descriptors) == 1 {
			return descriptors[0], nil
		}
	}
	return -1, errors.New("a frame came with something else than one descriptor")
}

// writeFrame sends a frame, with a descriptor unless it is -1.
func writeFrame(connection *net.UnixConn, message any, descriptor int) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	frame = append(frame, body...)
	var rights []byte
	if descriptor >= 0 {
		rights = syscall.UnixRights(descriptor)
	}
	// Frames of a launcher are small, so the kernel takes one whole; net sends the rest when it does not.
	count, _, err := connection.WriteMsgUnix(frame, rights, nil)
	if err == nil && count < len(frame) {
		_, err = connection.Write(frame[count:])
	}
	return err
}
