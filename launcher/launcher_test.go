package main

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// How long anything that happens in another process may take.
const limit = 20 * time.Second

// A worker speaks to a launcher that serves in this process.
type worker struct {
	*testing.T
	connection *net.UnixConn
	// Receives what serve returns.
	served chan error
	pfs    string
}

func newWorker(t *testing.T) *worker {
	t.Helper()
	folder := t.TempDir()
	pfs := filepath.Join(folder, "pfs")
	for _, made := range []string{pfs, pfs + "/out", pfs + "/.hidden"} {
		if err := os.Mkdir(made, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(folder, "run.sock")
	served := make(chan error, 1)
	go func() { served <- serve(socket, limit) }()
	w := &worker{t, dial(t, socket), served, pfs}
	t.Cleanup(func() { w.connection.Close() })
	w.say(request{Hello: &hello{Version: protocolVersion, Pfs: pfs, Hidden: ".hidden"}})
	if answer, _ := w.hear(); answer.Ready == nil || answer.Ready.Version != protocolVersion {
		t.Fatalf("greeted with %+v", answer)
	}
	return w
}

func dial(t *testing.T, socket string) *net.UnixConn {
	t.Helper()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		connection, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
		if err == nil {
			return connection
		}
	}
	t.Fatal("nobody listens")
	return nil
}

func (w *worker) say(what request) {
	w.Helper()
	if err := writeFrame(w.connection, what, -1); err != nil {
		w.Fatal(err)
	}
}

func (w *worker) hear() (reply, int) {
	w.Helper()
	var said reply
	w.connection.SetReadDeadline(time.Now().Add(limit))
	descriptor, err := readFrame(w.connection, &said)
	if err != nil {
		w.Fatal(err)
	}
	return said, descriptor
}

// run runs a shell script to its end and returns what it printed.
func (w *worker) run(script string) (string, *ending) {
	w.Helper()
	output := w.begin(script)
	defer output.Close()
	printed, _ := io.ReadAll(output)
	ended, _ := w.hear()
	if ended.Ended == nil {
		w.Fatalf("ended with %+v", ended)
	}
	return string(printed), ended.Ended
}

func (w *worker) begin(script string) *os.File {
	w.Helper()
	w.say(request{Start: &program{Argv: []string{"sh", "-c", script}, Cwd: w.pfs}})
	said, descriptor := w.hear()
	if said.Started == nil || descriptor < 0 {
		w.Fatalf("started with %+v and descriptor %d", said, descriptor)
	}
	return os.NewFile(uintptr(descriptor), "output")
}

func (w *worker) write(name, content string, mode os.FileMode) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.pfs, name), []byte(content), mode); err != nil {
		w.Fatal(err)
	}
}

func TestACommandsOutputAndExitCodeComeBack(t *testing.T) {
	w := newWorker(t)

	printed, ended := w.run("echo out; echo err >&2; printf '\\377\\000'; exit 3")

	if printed != "out\nerr\n\xff\x00" || ended.Status != 3 || ended.Immortal != 0 {
		t.Fatalf("%q %+v", printed, ended)
	}
}

func TestCommandsFollowEachOther(t *testing.T) {
	w := newWorker(t)
	for _, word := range []string{"one", "two", "three"} {
		if printed, ended := w.run("echo " + word); printed != word+"\n" || ended.Status != 0 {
			t.Fatalf("%q %+v", printed, ended)
		}
	}
}

func TestASignalIsToldAsANegativeNumber(t *testing.T) {
	_, ended := newWorker(t).run("kill -TERM $$")

	if ended.Status != -int(syscall.SIGTERM) {
		t.Fatalf("%+v", ended)
	}
}

func TestUseIsToldWithThatOfChildren(t *testing.T) {
	_, ended := newWorker(t).run("sh -c 'i=0; while test $i -lt 20000; do i=$((i+1)); done'; true")

	if ended.CPUSeconds <= 0 || ended.PeakMemory < 100<<10 {
		t.Fatalf("%+v", ended)
	}
}

func TestACommandThatIgnoresSignalsIsKilled(t *testing.T) {
	w := newWorker(t)
	output := w.begin("trap '' TERM INT HUP; echo ready; while :; do sleep 1; done")
	defer output.Close()
	if _, err := io.ReadFull(output, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}

	w.say(request{Kill: true})

	if ended, _ := w.hear(); ended.Ended.Status != -int(syscall.SIGKILL) {
		t.Fatalf("%+v", ended.Ended)
	}
}

func TestAKillThatComesLateHitsNobody(t *testing.T) {
	w := newWorker(t)
	w.run("true")
	w.say(request{Kill: true})

	printed, ended := w.run("echo alive")

	if printed != "alive\n" || ended.Status != 0 {
		t.Fatalf("%q %+v", printed, ended)
	}
}

func TestWhatLeavesTheProcessGroupIsGoneAtTheEnd(t *testing.T) {
	// A pipe tells: its reading end sees the end only when every process that holds the other one is gone.
	w := newWorker(t)

	printed, ended := w.run("setsid sh -c 'setsid sleep 1000 & setsid sleep 1000 &' & (setsid nohup sleep 1000 &) & echo left")

	if !strings.Contains(printed, "left") || ended.Immortal != 0 {
		t.Fatalf("%q %+v", printed, ended)
	}
	if left := descendants(os.Getpid()); len(left) != 0 {
		t.Fatalf("still there: %v", left)
	}
}

func TestOrphansAreReapedWhileTheCommandRuns(t *testing.T) {
	printed, _ := newWorker(t).run(`
		(sh -c 'exit 0' &)
		(sh -c 'echo $$ > orphan; exit 0' &)
		while ! test -s orphan || test -e /proc/$(cat orphan); do sleep 0.01; done
		echo reaped`)

	if printed != "reaped\n" {
		t.Fatalf("%q", printed)
	}
}

func TestTheRequestsVariablesWinOverTheContainers(t *testing.T) {
	t.Setenv("FROM_IMAGE", "image")
	t.Setenv("BOTH", "image")
	w := newWorker(t)
	w.say(request{Start: &program{
		Argv: []string{"sh", "-c", "echo $FROM_IMAGE $BOTH"}, Env: map[string]string{"BOTH": "pipeline"}}})
	_, descriptor := w.hear()
	output := os.NewFile(uintptr(descriptor), "output")
	defer output.Close()

	printed, _ := io.ReadAll(output)

	if string(printed) != "image pipeline\n" {
		t.Fatalf("%q", printed)
	}
	w.hear()
}

func TestStandardInputIsTheDescriptorThatCameAlong(t *testing.T) {
	w := newWorker(t)
	w.write("text", "from the worker", 0o644)
	stdin, err := os.Open(filepath.Join(w.pfs, "text"))
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := writeFrame(w.connection, request{Start: &program{Argv: []string{"cat"}}}, int(stdin.Fd())); err != nil {
		t.Fatal(err)
	}
	_, descriptor := w.hear()
	output := os.NewFile(uintptr(descriptor), "output")
	defer output.Close()

	printed, _ := io.ReadAll(output)

	if string(printed) != "from the worker" {
		t.Fatalf("%q", printed)
	}
	w.hear()
}

func TestWhatKeepsACommandFromStartingIsToldAsFacts(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{"text": "text", "lost": "#!/no/such/interpreter\n", "plain": ""} {
		mode := os.FileMode(0o755)
		if name == "plain" {
			mode = 0o644
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	path := map[string]string{"PATH": folder}
	for name, tried := range map[string]struct {
		wanted program
		lack   obstacle
	}{
		"no such name":       {program{Argv: []string{"nothing"}, Env: path}, obstacle{Kind: "not found", Path: folder}},
		"NUL in the name":    {program{Argv: []string{"a\x00b"}, Env: path}, obstacle{Kind: "not found", Path: folder}},
		"no x bit":           {program{Argv: []string{"plain"}, Env: path}, obstacle{Kind: "not executable", Path: folder + "/plain"}},
		"no such file":       {program{Argv: []string{"/no/such"}}, obstacle{Kind: "spawn", Path: "/no/such", Errno: int(syscall.ENOENT)}},
		"a folder":           {program{Argv: []string{folder}}, obstacle{Kind: "spawn", Path: folder, Errno: int(syscall.EACCES), Mode: syscall.S_IFDIR | 0o755}},
		"just text":          {program{Argv: []string{"text"}, Env: path}, obstacle{Kind: "spawn", Path: folder + "/text", Errno: int(syscall.ENOEXEC), Mode: syscall.S_IFREG | 0o755}},
		"lost interpreter":   {program{Argv: []string{"./lost"}, Cwd: folder}, obstacle{Kind: "spawn", Path: "./lost", Errno: int(syscall.ENOENT), Mode: syscall.S_IFREG | 0o755}},
		"no such folder":     {program{Argv: []string{"true"}, Cwd: "/no/such"}, obstacle{Kind: "working_dir", Path: "/no/such", Errno: int(syscall.ENOENT)}},
		"cwd is a file":      {program{Argv: []string{"true"}, Cwd: folder + "/text"}, obstacle{Kind: "working_dir", Path: folder + "/text", Errno: int(syscall.ENOTDIR)}},
		"NUL in an argument": {program{Argv: []string{"sh", "a\x00b"}}, obstacle{Kind: "text", Detail: "embedded null byte"}},
		"odd variable":       {program{Argv: []string{"sh"}, Env: map[string]string{"A=B": "c"}}, obstacle{Kind: "text", Detail: "illegal environment variable name"}},
		"too much":           {program{Argv: []string{"/bin/sh", strings.Repeat("x", 3<<20)}}, obstacle{Kind: "spawn", Path: "/bin/sh", Errno: int(syscall.E2BIG), Mode: modeOf(t, "/bin/sh")}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t)
			w.say(request{Start: &tried.wanted})

			answer, _ := w.hear()

			if answer.Refused == nil || *answer.Refused != tried.lack {
				t.Fatalf("%+v", answer.Refused)
			}
			if printed, _ := w.run("echo and on it goes"); printed != "and on it goes\n" {
				t.Fatalf("%q", printed)
			}
		})
	}
}

func modeOf(t *testing.T, path string) uint32 {
	t.Helper()
	var status syscall.Stat_t
	if err := syscall.Stat(path, &status); err != nil {
		t.Fatal(err)
	}
	return status.Mode
}

func TestLinksThatLeadOutOfPfsBecomeWhatTheyLeadTo(t *testing.T) {
	w := newWorker(t)
	outside := t.TempDir()
	script := `
		mkdir -p OUTSIDE/tree/deep; echo file > OUTSIDE/file; echo deep > OUTSIDE/tree/deep/f
		mkdir OUTSIDE/loop; ln -s . OUTSIDE/loop/self
		cd out; mkdir d
		ln -s OUTSIDE/file d/file; ln -s OUTSIDE/tree tree; ln -s OUTSIDE/loop loop
		ln -s d/file inside; ln -s /no/such/file lost; ln -s /dev/null device; ln -s self self`
	w.run(strings.ReplaceAll(script, "OUTSIDE", outside))

	for name, content := range map[string]string{"d/file": "file\n", "tree/deep/f": "deep\n", "inside": "file\n"} {
		read, err := os.ReadFile(filepath.Join(w.pfs, "out", name))
		if err != nil || string(read) != content {
			t.Errorf("%s: %q %v", name, read, err)
		}
	}
	for _, name := range []string{"inside", "lost", "loop", "self"} {
		if _, err := os.Readlink(filepath.Join(w.pfs, "out", name)); err != nil {
			t.Errorf("%s is not a link any more: %v", name, err)
		}
	}
	for _, name := range []string{"d/file", "tree"} {
		if _, err := os.Readlink(filepath.Join(w.pfs, "out", name)); err == nil {
			t.Errorf("%s is still a link", name)
		}
	}
	if _, err := os.Lstat(filepath.Join(w.pfs, "out", "device")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("device is still there: %v", err)
	}
}

func TestWhatACommandLeavesIsOpenedForEverybody(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(folder+"/out/deep/deeper", 0o777); err != nil {
		t.Fatal(err)
	}
	w := &worker{T: t, pfs: folder}
	w.write("out/deep/deeper/f", "", 0o000)
	for path, mode := range map[string]os.FileMode{"out/deep/deeper": 0o500, "out/deep": 0o777 | os.ModeSticky} {
		if err := os.Chmod(filepath.Join(folder, path), mode); err != nil {
			t.Fatal(err)
		}
	}

	openAll(folder, "hidden")

	for path, mode := range map[string]os.FileMode{"out/deep": 0o777, "out/deep/deeper": 0o777, "out/deep/deeper/f": 0o666} {
		status, err := os.Stat(filepath.Join(folder, path))
		if err != nil || status.Mode()&(os.ModePerm|os.ModeSticky) != mode {
			t.Errorf("%s: %v %v", path, status.Mode(), err)
		}
	}
}

func TestTheHiddenFolderIsLeftAsItIs(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(folder+"/hidden", 0o700); err != nil {
		t.Fatal(err)
	}

	openAll(folder, "hidden")

	if status, _ := os.Stat(folder + "/hidden"); status.Mode().Perm() != 0o700 {
		t.Fatal(status.Mode())
	}
}

func TestWhenTheWorkerHangsUpEverythingEnds(t *testing.T) {
	w := newWorker(t)
	output := w.begin("setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo ready; while :; do sleep 1; done")
	defer output.Close()
	if _, err := io.ReadFull(output, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}

	w.connection.Close()

	if err := within(t, w.served); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(output); err != nil { // ends when all who hold the other end are gone
		t.Fatal(err)
	}
}

func TestNonsenseEndsTheLauncherWithASentence(t *testing.T) {
	for name, frame := range map[string]string{
		"no JSON":         "\x00\x00\x00\x03abc",
		"nothing":         "\x00\x00\x00\x02{}",
		"too long":        "\xff\xff\xff\xff",
		"without command": "\x00\x00\x00\x15{\"start\":{\"argv\":[]}}",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t)
			if _, err := w.connection.Write([]byte(frame)); err != nil {
				t.Fatal(err)
			}

			if err := within(t, w.served); err == nil {
				t.Fatal("it took that as the worker's end")
			}
		})
	}
}

func TestASecondCommandAtATimeIsRefused(t *testing.T) {
	w := newWorker(t)
	output := w.begin("while :; do sleep 1; done")
	defer output.Close()

	w.say(request{Start: &program{Argv: []string{"true"}}})

	if err := within(t, w.served); err == nil || !strings.Contains(err.Error(), "while another one runs") {
		t.Fatal(err)
	}
}

func TestALauncherWithoutAWorkerSaysSo(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run.sock")

	err := serve(socket, time.Millisecond)

	if err == nil || !strings.HasPrefix(err.Error(), "no worker came to "+socket+" within 1ms") {
		t.Fatal(err)
	}
}

func TestTheSocketIsForEverybodyAndGoesWhenTheWorkerHasCome(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run.sock")
	if err := os.WriteFile(socket, nil, 0o600); err != nil { // as of a launcher that was killed
		t.Fatal(err)
	}
	go serve(socket, limit)
	for deadline := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		status, err := os.Stat(socket)
		if err == nil && status.Mode() == os.ModeSocket|0o777 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(status, err)
		}
	}

	connection := dial(t, socket)
	defer connection.Close()

	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(socket); errors.Is(err, os.ErrNotExist) {
			return
		}
	}
	t.Fatal("the socket is still there")
}

func TestItInstallsItselfForEverybody(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "built")
	if said, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%s %v", said, err)
	}
	target := filepath.Join(t.TempDir(), "launcher")

	said, err := exec.Command(binary, "install", target).CombinedOutput()

	status, _ := os.Stat(target)
	if err != nil || status.Mode() != 0o755 {
		t.Fatalf("%s %v %v", said, err, status)
	}
	said, err = exec.Command(target).CombinedOutput()
	if err == nil || !strings.Contains(string(said), "not by hand") {
		t.Fatalf("%s %v", said, err)
	}
	said, err = exec.Command(binary, "install", "/no/such/folder/launcher").CombinedOutput()
	if err == nil || !strings.Contains(string(said), "mount a writable volume there") {
		t.Fatalf("%s %v", said, err)
	}
}

func within(t *testing.T, served chan error) error {
	t.Helper()
	select {
	case err := <-served:
		return err
	case <-time.After(limit):
		t.Fatal("it still serves")
		return nil
	}
}
