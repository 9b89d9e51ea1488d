//go:build unix

package trust

import (
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe that nobody writes to does not hold the refresh loop up.
func TestFileIsAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), trustedRootName)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r := begin(t, newClock(), Options{File: path})
	r.wantUnavailable("the file "+path, Unreadable)
}
