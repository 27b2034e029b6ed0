package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// What a command leaves must be readable and removable for the worker, which may be another user, and must
// make sense in the worker's container, which has other files. So when a command has ended, and none of its
// processes runs any more, its files are made accessible to everyone, and links that lead out of /pfs are replaced by
// copies of their targets.

// open gives everyone all rights on the files and folders of this user at and below path.
func open(path string) {
	var status syscall.Stat_t
	if syscall.Lstat(path, &status) != nil {
		return
	}
	mine := int(status.Uid) == os.Geteuid()
	switch status.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		if mine && status.Mode&0o7777 != 0o777 {
			// Also without the sticky bit, which would keep the worker from removing what is in it.
			syscall.Chmod(path, 0o777)
		}
		entries, _ := os.ReadDir(path)
		for _, entry := range entries {
			open(path + "/" + entry.Name())
		}
	case syscall.S_IFREG:
		if mine && status.Mode&0o666 != 0o666 {
			syscall.Chmod(path, status.Mode&0o777|0o666)
		}
	}
}

// openAll opens everything in the folder pfs but the entry hidden.
func openAll(pfs, hidden string) {
	entries, _ := os.ReadDir(pfs)
	for _, entry := range entries {
		if entry.Name() != hidden {
			open(pfs + "/" + entry.Name())
		}
	}
}

// replaceLinks replaces the links below folder that lead out of pfs by copies of their targets. Links to nothing
// or in a circle stay, and the worker reports them. Links to devices and pipes are removed, because the worker
// leaves those out.
func replaceLinks(folder, pfs string) {
	entries, _ := os.ReadDir(folder)
	for _, entry := range entries {
		path := folder + "/" + entry.Name()
		if entry.IsDir() {
			replaceLinks(path, pfs)
		} else if entry.Type()&os.ModeSymlink != 0 {
			replaceLink(path, pfs)
		}
	}
}

func replaceLink(path, pfs string) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil || target == pfs || strings.HasPrefix(target, pfs+"/") {
		return
	}
	var status syscall.Stat_t
	if syscall.Stat(target, &status) != nil {
		return
	}
	// Beside it first: a copy that fails, say on a full disk, leaves the link for the worker to report.
	copied := path + ".trunkline-copy"
	switch status.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		err = copyFile(target, copied)
	case syscall.S_IFDIR:
		err = copyFolder(target, copied, nil)
	default:
		os.Remove(path)
		return
	}
	if err == nil {
		os.Remove(path)
		err = os.Rename(copied, path)
	}
	if err != nil {
		os.RemoveAll(copied)
	}
}

func copyFile(source, target string) error {
	reader, err := os.Open(source)
	if err != nil {
		return err
	}
	defer reader.Close()
	writer, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(writer, reader)
	return errors.Join(err, writer.Close(), os.Chmod(target, 0o666))
}

// copyFolder copies the files and folders of source, and the targets of links in it; above are the folders on
// the path to it.
func copyFolder(source, target string, above []os.FileInfo) error {
	here, err := os.Stat(source)
	if err != nil {
		return err
	}
	for _, folder := range above {
		if os.SameFile(folder, here) {
			return syscall.ELOOP
		}
	}
	entries, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	if err := os.Mkdir(target, 0o777); err != nil {
		return err
	}
	if err := os.Chmod(target, 0o777); err != nil {
		return err
	}
	for _, entry := range entries {
		from, to := source+"/"+entry.Name(), target+"/"+entry.Name()
		status, err := os.Stat(from)
		switch {
		case err != nil:
		case status.Mode().IsRegular():
			err = copyFile(from, to)
		case status.IsDir():
			err = copyFolder(from, to, append(above[:len(above):len(above)], here))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
