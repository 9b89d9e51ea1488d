package artifact

import (
	"io/fs"
	"syscall"
	"time"
)

// sealOf reads a file's seal. It is false where the file system tells too
// little for one.
func sealOf(info fs.FileInfo) (seal, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return seal{}, false
	}
	return seal{
		device: stat.Dev, inode: stat.Ino, size: stat.Size,
		modified: time.Unix(stat.Mtim.Unix()), changed: time.Unix(stat.Ctim.Unix()),
	}, true
}
