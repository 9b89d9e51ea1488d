//go:build linux || darwin

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const canExchange = true

// moveFolder moves a folder to where nothing is, or an empty folder. os.Rename
// would refuse the latter.
func moveFolder(from, to string) error {
	return asLinkError(from, to, unix.Rename(from, to))
}

// exchange swaps two folders in one step.
func exchange(a, b string) error {
	err := swap(a, b)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("the file system cannot replace a folder in one step (%w): remove it first", err)
	}
	return asLinkError(a, b, err)
}

func asLinkError(from, to string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.ENOTEMPTY) {
		err = unix.EEXIST // POSIX lets a system choose either.
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}
