// The launcher starts commands for a worker in another container of the same pod.
//
// A Python worker cannot run in an arbitrary image, and starting a command there through an engine or the
// API server costs 50 to 100 ms each time. So this one static binary is copied into a shared volume, runs as
// the first process of the user's container, and starts what the worker asks for over a Unix socket. It needs
// no privilege, no shell and no file of the image.
//
// It decides nothing: the worker chooses the command, its time limit and its retries, and judges its end.
// docs/design/launcher.md describes the protocol.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// How long a launcher waits for its worker. The worker's image is on the machine by then, since the launcher was
// copied from it; a worker that has not connected after this time will not.
const workerPatience = 10 * time.Minute

const usage = `usage: launcher install PATH    copy this program to PATH
       launcher serve SOCKET    start commands for the worker that connects to SOCKET`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "launcher: %v\n", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 2 && arguments[0] == "install" {
		return install(arguments[1])
	}
	if len(arguments) == 2 && arguments[0] == "serve" {
		return serve(arguments[1], workerPatience)
	}
	return errors.New("it is started by the pod of a worker, not by hand\n" + usage)
}

// install copies the running program to path, completely or not at all.
func install(path string) error {
	source, err := os.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("cannot read its own program: %w", err)
	}
	defer source.Close()
	half, err := os.CreateTemp(filepath.Dir(path), ".launcher-*")
	if err != nil {
		return fmt.Errorf("cannot install itself as %s: %w; mount a writable volume there", path, err)
	}
	defer os.Remove(half.Name())
	_, err = io.Copy(half, source)
	// Only its owner can read the temporary file; the user's container may run as any user.
	err = errors.Join(err, half.Chmod(0o755), half.Close())
	if err == nil {
		err = os.Rename(half.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("cannot install itself as %s: %w", path, err)
	}
	return nil
}
