package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// What a search for programs means where neither the image nor the pipeline sets PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Why a command cannot be started: facts, from which the worker makes the same messages as for its own failures.
type obstacle struct {
	// "working_dir", "not found", "not executable", "text" or "spawn".
	Kind string `json:"kind"`
	// Where that was: the folder, the search path or the program.
	Path string `json:"path"`
	// The kernel's reason, if it gave one.
	Errno int `json:"errno,omitempty"`
	// Type and permissions of what is at Path, as in <sys/stat.h>; 0 when nothing is there.
	Mode uint32 `json:"mode,omitempty"`
	// What is wrong with a text.
	Detail string `json:"detail,omitempty"`
}

// spawn starts the program in a session of its own and returns its process id.
func spawn(wanted *program, stdin, output uintptr) (int, *obstacle) {
	if wanted.Cwd != "" {
		if errno := enterable(wanted.Cwd); errno != 0 {
			return 0, &obstacle{Kind: "working_dir", Path: wanted.Cwd, Errno: int(errno)}
		}
	}
	environment := merged(os.Environ(), wanted.Env)
	path, lack := find(wanted.Argv[0], environment["PATH"], wanted.Cwd)
	if lack != nil {
		return 0, lack
	}
	if fault := faulty(wanted); fault != "" {
		return 0, &obstacle{Kind: "text", Detail: fault}
	}
	pid, err := syscall.ForkExec(path, wanted.Argv, &syscall.ProcAttr{
		Dir:   wanted.Cwd,
		Env:   lines(environment),
		Files: []uintptr{stdin, output, output},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, refusal(path, wanted.Cwd, err)
	}
	return pid, nil
}

// merged returns the container's variables, replaced and extended by the request's.
func merged(own []string, wanted map[string]string) map[string]string {
	all := map[string]string{"PATH": defaultPath}
	for _, line := range own {
		if name, value, found := strings.Cut(line, "="); found {
			all[name] = value
		}
	}
	for name, value := range wanted {
		all[name] = value
	}
	return all
}

func lines(environment map[string]string) []string {
	all := make([]string, 0, len(environment))
	for name, value := range environment {
		all = append(all, name+"="+value)
	}
	return all
}

// faulty returns what the kernel cannot pass to a program; empty if there is nothing.
func faulty(wanted *program) string {
	for _, argument := range wanted.Argv {
		if strings.Contains(argument, "\x00") {
			return "embedded null byte"
		}
	}
	for name, value := range wanted.Env {
		if strings.Contains(name, "=") || name == "" {
			return "illegal environment variable name"
		}
		if strings.Contains(name, "\x00") || strings.Contains(value, "\x00") {
			return "embedded null byte"
		}
	}
	return ""
}

func enterable(folder string) syscall.Errno {
	var status syscall.Stat_t
	err := syscall.Stat(folder, &status)
	if err == nil && status.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return syscall.ENOTDIR
	}
	if err == nil {
		err = syscall.Access(folder, 1) // X_OK
	}
	return errnoOf(err)
}

// find returns the program that name means; relative paths count from cwd, where the program will start.
func find(name, path, cwd string) (string, *obstacle) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	unusable := ""
	for _, folder := range strings.Split(path, ":") {
		if folder == "" {
			folder = "."
		}
		candidate := folder + "/" + name
		var status syscall.Stat_t
		if syscall.Stat(from(cwd, candidate), &status) != nil {
			continue
		}
		kind := status.Mode & syscall.S_IFMT
		if kind != syscall.S_IFDIR && syscall.Access(from(cwd, candidate), 1) == nil {
			return candidate, nil
		}
		if kind == syscall.S_IFREG && unusable == "" {
			unusable = candidate
		}
	}
	if unusable != "" {
		return "", &obstacle{Kind: "not executable", Path: unusable}
	}
	return "", &obstacle{Kind: "not found", Path: path}
}

func refusal(path, cwd string, err error) *obstacle {
	lack := &obstacle{Kind: "spawn", Path: path, Errno: int(errnoOf(err))}
	var status syscall.Stat_t
	if syscall.Stat(from(cwd, path), &status) == nil {
		lack.Mode = status.Mode
	}
	return lack
}

func from(cwd, path string) string {
	if filepath.IsAbs(path) || cwd == "" {
		return path
	}
	return cwd + "/" + path
}

func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return syscall.EINVAL
}
