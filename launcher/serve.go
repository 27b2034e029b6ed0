package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// serve starts commands for the first worker that connects to the socket, until it closes the connection.
func serve(socket string, patience time.Duration) error {
	// It does one thing at a time; waking a second processor would cost 0.15 ms per command.
	runtime.GOMAXPROCS(1)
	// All containers of a pod get SIGTERM at once, and the worker decides how long its command may go on.
	// Caught, not ignored, because commands would inherit ignored signals.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if err := adoptOrphans(); err != nil {
		return err
	}
	connection, err := accept(socket, patience)
	if err != nil {
		return err
	}
	defer connection.Close()
	launcher := &launcher{connection: connection, idle: make(chan struct{})}
	close(launcher.idle)
	err = launcher.work()
	launcher.endAll()
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// accept waits for the worker and removes the socket: there is one worker, and commands must not connect.
func accept(socket string, patience time.Duration) (*net.UnixConn, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot remove the old socket: %w", err)
	}
	mask := syscall.Umask(0) // the worker may be another user
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	syscall.Umask(mask)
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: %w; mount a writable volume there", socket, err)
	}
	defer listener.Close()
	listener.SetDeadline(time.Now().Add(patience))
	connection, err := listener.AcceptUnix()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("no worker came to %s within %v; see why the worker's container does not run",
			socket, patience)
	}
	return connection, err
}

// A launcher serves one worker and runs one command at a time. One goroutine reads the worker's messages;
// another, while a command runs, waits for its end.
type launcher struct {
	connection *net.UnixConn
	pfs        string
	hidden     string
	// Whether the worker is another user, for whom files must be opened.
	foreign bool
	// Closed while no command runs.
	idle chan struct{}

	mutex sync.Mutex // guards what follows; held while the command is reaped, so that a kill hits no other
	pid   int        // of the running command, 0 for none
}

func (l *launcher) work() error {
	for {
		var said request
		descriptor, err := readFrame(l.connection, &said)
		if err != nil {
			return err
		}
		switch {
		case said.Hello != nil:
			err = l.greet(said.Hello)
		case said.Start != nil:
			err = l.start(said.Start, descriptor)
		case said.Kill:
			l.kill()
		case said.HandOver != nil:
			l.handOver(said.HandOver.Tmp)
			err = writeFrame(l.connection, reply{Handed: true}, -1)
		default:
			err = errors.New("the worker said something that this launcher does not understand; use one image for both")
		}
		if descriptor >= 0 {
			syscall.Close(descriptor)
		}
		if err != nil {
			return err
		}
	}
}

func (l *launcher) greet(said *hello) error {
	worker, err := peer(l.connection)
	if err != nil {
		return err
	}
	l.foreign = worker != os.Geteuid()
	// Links are judged by their resolved targets; a missing folder has no links.
	l.pfs, l.hidden = said.Pfs, said.Hidden
	if pfs, err := filepath.EvalSymlinks(said.Pfs); err == nil {
		l.pfs = pfs
	}
	// Files that an earlier launcher could not hand over because it was killed.
	if l.foreign {
		openAll(l.pfs, l.hidden)
	}
	return writeFrame(l.connection, reply{Ready: &ready{Version: protocolVersion}}, -1)
}

func (l *launcher) start(wanted *program, stdin int) error {
	select {
	case <-l.idle:
	default:
		return errors.New("the worker wants to start a command while another one runs")
	}
	if len(wanted.Argv) == 0 {
		return errors.New("the worker wants to start a command without a name")
	}
	var pipe [2]int
	// Made here rather than by the worker, so that the command's user owns it and /dev/stdout can be opened.
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return fmt.Errorf("cannot make a pipe: %w", err)
	}
	defer syscall.Close(pipe[0])
	if stdin < 0 {
		nothing, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			syscall.Close(pipe[1])
			return fmt.Errorf("cannot open /dev/null: %w", err)
		}
		defer syscall.Close(nothing)
		stdin = nothing
	}
	kills := oomKills()
	pid, lack := spawn(wanted, uintptr(stdin), uintptr(pipe[1]))
	syscall.Close(pipe[1])
	if lack != nil {
		return writeFrame(l.connection, reply{Refused: lack}, -1)
	}
	l.mutex.Lock()
	l.pid = pid
	l.mutex.Unlock()
	l.idle = make(chan struct{})
	err := writeFrame(l.connection, reply{Started: &started{Pid: pid}}, pipe[0])
	go l.await(pid, wanted.Tmp, kills, l.idle) // only now, so that the end is reported after the start
	return err
}

// await waits for the command's end, ends the processes that it leaves, and reports to the worker.
func (l *launcher) await(pid int, tmp string, kills int, idle chan struct{}) {
	var spent use
	for {
		ended, err := nextEnded()
		if err == nil && ended != pid {
			reap(ended, 0, &spent) // an orphan
			continue
		}
		break
	}
	l.mutex.Lock()
	syscall.Kill(-pid, syscall.SIGKILL)
	_, status, _ := reap(pid, 0, &spent)
	l.pid = 0
	l.mutex.Unlock()
	immortal := endLeftovers(&spent)
	l.handOver(tmp)
	failed := statusOf(status) != 0
	close(idle)
	// An error shows at the reading side as well, which ends the launcher.
	writeFrame(l.connection, reply{Ended: &ending{
		Status:      statusOf(status),
		OutOfMemory: failed && oomKills() > kills,
		Immortal:    immortal,
		CPUSeconds:  spent.cpu.Seconds(),
		PeakMemory:  spent.peak,
	}}, -1)
}

// handOver makes what the command has written usable for the worker.
func (l *launcher) handOver(tmp string) {
	if l.foreign {
		openAll(l.pfs, l.hidden)
		open(tmp)
	}
	replaceLinks(l.pfs+"/out", l.pfs)
}

func statusOf(status syscall.WaitStatus) int {
	if status.Signaled() {
		return -int(status.Signal())
	}
	return status.ExitStatus()
}

func (l *launcher) kill() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.pid != 0 {
		syscall.Kill(-l.pid, syscall.SIGKILL)
	}
}

// endAll ends the running command with all it started.
func (l *launcher) endAll() {
	l.kill()
	select {
	case <-l.idle:
	case <-time.After(killPatience + time.Second): // the kernel blocks it; it ends with the container
	}
}

func peer(connection *net.UnixConn) (int, error) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *syscall.Ucred
	var failure error
	err = raw.Control(func(descriptor uintptr) {
		credentials, failure = syscall.GetsockoptUcred(int(descriptor), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, failure); err != nil {
		return 0, fmt.Errorf("cannot tell who the worker is: %w", err)
	}
	return int(credentials.Uid), nil
}
