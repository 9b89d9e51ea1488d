//go:build !linux && !darwin

package main

import (
	"errors"
	"io/fs"
	"os"
)

const canExchange = false

// moveFolder moves a folder to where nothing is, or an empty folder.
func moveFolder(from, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}

// exchange would swap two folders in one step.
func exchange(_, _ string) error { return errExchange }
