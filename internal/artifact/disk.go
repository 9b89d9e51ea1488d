package artifact

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// notSuperseded is the modification time of an archive that is not superseded; a
// superseded one has the time at which it became so. So a restart neither prolongs nor cuts
// a retention.
var notSuperseded = time.Unix(0, 0)

// disk is what the store asks of the folder that it has for itself: an *os.Root.
type disk interface {
	Open(name string) (*os.File, error)
	Lstat(name string) (fs.FileInfo, error)
	MkdirAll(name string, perm fs.FileMode) error
	Rename(from, to string) error
	Chtimes(name string, accessed, modified time.Time) error
	Remove(name string) error
	RemoveAll(name string) error
	Close() error
}

// writeFile writes a new file and waits for the disk to have it.
func writeFile(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolder waits for the disk to have the folder's entries: a rename is in
// place after a crash only then.
func (s *Store) syncFolder(folder string) error {
	f, err := s.root.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// statRegular is Lstat for regular files only. Opening something else, such as
// a FIFO, could wait for ever.
func (s *Store) statRegular(name string) (fs.FileInfo, error) {
	info, err := s.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return info, nil
}

// openRegular opens a file of the store for reading.
func (s *Store) openRegular(name string) (*os.File, error) {
	if _, err := s.statRegular(name); err != nil {
		return nil, err
	}
	return s.root.Open(name)
}

// names lists a folder; a folder that is not there is empty.
func (s *Store) names(folder string) ([]string, error) {
	f, err := s.root.Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

// onDisk is an owner's folder: the archives by hex, with their modification
// time and their size, and the names of everything that stands beside no archive.
type onDisk struct {
	archives map[string]time.Time
	sizes    map[string]int64
	strays   []string
}

func (s *Store) list(owner Owner) (onDisk, error) {
	found := onDisk{archives: map[string]time.Time{}, sizes: map[string]int64{}}
	names, err := s.names(owner.folder())
	if err != nil {
		return found, err
	}
	for _, name := range names {
		hex, ok := strings.CutSuffix(name, archiveSuffix)
		if !ok || !hexSHA256.MatchString(hex) {
			continue
		}
		info, err := s.statRegular(owner.archive(hex))
		if err != nil {
			continue // Not an archive: a stray.
		}
		found.archives[hex], found.sizes[hex] = info.ModTime(), info.Size()
	}
	for _, name := range names {
		hex, _, _ := strings.Cut(name, ".")
		if _, ok := found.archives[hex]; !ok || name != hex+archiveSuffix && name != hex+signaturesSuffix {
			found.strays = append(found.strays, path.Join(owner.folder(), name))
		}
	}
	s.held.set(owner, found.sizes)
	return found, nil
}

// removeArchive removes an archive, and then its signatures: the other order
// could leave an archive that cannot be judged again.
func (s *Store) removeArchive(owner Owner, hex string) error {
	s.checks.forget(owner.archive(hex))
	s.checks.forget(owner.signatures(hex))
	if err := s.root.Remove(owner.archive(hex)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.held.remove(owner, hex)
	if err := s.root.Remove(owner.signatures(hex)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
