package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// How long to wait for killed processes. They end in microseconds unless the kernel itself blocks them.
const killPatience = 10 * time.Second

// From <sys/prctl.h> and <sys/wait.h>, which package syscall does not have.
const (
	prSetChildSubreaper = 36
	waitAll             = 0
	waitExited          = 4
	waitNoReap          = 0x1000000
)

// adoptOrphans makes this process the parent of every descendant whose own parent ends. The first process of
// a PID namespace is that already; a pod whose containers share one has another first process.
func adoptOrphans() error {
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
	if errno != 0 {
		return fmt.Errorf("cannot adopt orphans: %w", errno)
	}
	return nil
}

// nextEnded waits until a child has ended and returns its id without reaping it: only so is its number, and
// that of its group, still its own.
func nextEnded() (int, error) {
	var information [128]byte // siginfo_t
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, waitAll, 0,
			uintptr(unsafe.Pointer(&information)), waitExited|waitNoReap, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(*(*int32)(unsafe.Pointer(&information[16]))), nil // si_pid on 64-bit machines
	}
}

// use adds up what processes have used.
type use struct {
	cpu  time.Duration
	peak int64
}

func (u *use) add(spent *syscall.Rusage) {
	u.cpu += time.Duration(spent.Utime.Nano() + spent.Stime.Nano())
	u.peak = max(u.peak, spent.Maxrss<<10)
}

// reap takes a child that has ended out of the process table.
func reap(pid, flags int, spent *use) (int, syscall.WaitStatus, error) {
	var status syscall.WaitStatus
	var usage syscall.Rusage
	for {
		found, err := syscall.Wait4(pid, &status, flags, &usage)
		if err == syscall.EINTR {
			continue
		}
		if found > 0 {
			spent.add(&usage)
		}
		return found, status, err
	}
}

// endLeftovers kills all descendants until none is left and returns how many the kernel refused to end.
func endLeftovers(spent *use) int {
	deadline := time.Now().Add(killPatience)
	pause := 200 * time.Microsecond
	for {
		found, _, err := reap(-1, syscall.WNOHANG, spent)
		if err != nil {
			return 0 // no child, which is the usual case; it costs one call
		}
		if found > 0 {
			continue
		}
		left := descendants(os.Getpid())
		if os.Getpid() == 1 {
			// All of the namespace at once, which a command that starts new processes meanwhile cannot outrun.
			syscall.Kill(-1, syscall.SIGKILL)
		} else {
			for _, pid := range left {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if time.Now().After(deadline) {
			return len(left)
		}
		time.Sleep(pause)
		pause = min(2*pause, 20*time.Millisecond)
	}
}

func descendants(pid int) []int {
	var found []int
	waiting := []int{pid}
	for len(waiting) > 0 {
		last := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", last))
		for _, list := range lists {
			content, _ := os.ReadFile(list) // it may have ended meanwhile
			for _, word := range strings.Fields(string(content)) {
				if child, err := strconv.Atoi(word); err == nil {
					found = append(found, child)
					waiting = append(waiting, child)
				}
			}
		}
	}
	return found
}

// oomKills returns how often the kernel has killed a process of this container for lack of memory; 0 where it
// does not say.
func oomKills() int {
	for _, file := range []string{
		"/sys/fs/cgroup/memory.events",             // cgroup v2
		"/sys/fs/cgroup/memory/memory.oom_control", // v1
	} {
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, line := range bytes.Split(content, []byte("\n")) {
			if count, found := bytes.CutPrefix(line, []byte("oom_kill ")); found {
				number, _ := strconv.Atoi(string(count))
				return number
			}
		}
	}
	return 0
}
