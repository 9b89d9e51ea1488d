package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// seal is what the file system says of a file that was read. Whoever writes to
// the file, puts another in its place, or sets its times, changes it: the
// kernel sets the time of change, and nobody can set that back.
type seal struct {
	device, inode     uint64
	size              int64
	modified, changed time.Time
}

// settling is how long after its last change a file is read again each time:
// time stamps are coarse, and a second change in the same tick would leave the
// same seal.
const settling = 2 * time.Second

// checks remembers which files were read and found whole, or not.
type checks struct {
	now   func() time.Time // the file system's clock
	reads int              // how many files were read; guarded by mu

	mu    sync.Mutex
	files map[string]*checked
}

// checked is what is known of a file. Its lock is held while the file is read,
// so that many who ask at once wait for one reading.
type checked struct {
	mu    sync.Mutex
	seal  seal
	whole bool
	at    time.Time // zero: nothing is known
}

func newChecks() *checks { return &checks{now: time.Now, files: map[string]*checked{}} }

// ask reports whether the open file of that name in the store is whole: as
// judge finds when it reads the file, or found before if the file has not
// changed since, and not longer ago than age where age is not zero.
func (c *checks) ask(name string, f *os.File, age time.Duration, judge func(io.Reader) (bool, error)) (bool, error) {
	c.mu.Lock()
	known, ok := c.files[name]
	if !ok {
		known = &checked{}
		c.files[name] = known
	}
	c.mu.Unlock()

	known.mu.Lock()
	defer known.mu.Unlock()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	found, sealed := sealOf(info)
	now := c.now()
	if sealed && !known.at.IsZero() && known.seal == found && (age == 0 || !known.whole || now.Sub(known.at) < age) {
		return known.whole, nil
	}
	known.at = time.Time{}
	c.mu.Lock()
	c.reads++
	c.mu.Unlock()
	// At offsets, so that the file can be sent from its beginning afterwards.
	whole, err := judge(io.NewSectionReader(f, 0, 1<<62))
	if err != nil {
		return false, err
	}
	if sealed && now.Sub(found.changed) >= settling {
		known.seal, known.whole, known.at = found, whole, now
	}
	return whole, nil
}

// forget forgets a file that is removed, or not to be believed any more.
func (c *checks) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.files, name)
}

// forgetBelow forgets all files of a folder.
func (c *checks) forgetBelow(folder string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.files {
		if strings.HasPrefix(name, folder+"/") {
			delete(c.files, name)
		}
	}
}

// isArchive judges whether a file is the archive of that name.
func isArchive(want string) func(io.Reader) (bool, error) {
	return func(r io.Reader) (bool, error) {
		hash := sha256.New()
		if _, err := io.Copy(hash, r); err != nil {
			return false, err
		}
		return hex.EncodeToString(hash.Sum(nil)) == want, nil
	}
}
