package artifact

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// Holds reports whether the archive of status.artifact, as in [Published], is
// in place with its signatures, and served. It reads both files the first time
// in a process, and whenever the file system says that they changed; otherwise
// it looks at no more than that, so that it can be asked at every poll. An
// archive that is not what its name says is removed.
func (s *Store) Holds(owner Owner, path, digest string) bool {
	hex, ok := hexOf(digest)
	if !ok || owner.validate() != nil || path != owner.archive(hex) {
		return false
	}
	_, unlock := s.lock(owner)
	defer unlock()
	if s.isDenied(owner) {
		return false
	}
	whole, err := s.isWhole(owner, hex)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.onError(storageFailed("checking the archive of "+owner.String(), err))
	}
	return whole
}

// Serves reports whether the archive of status.artifact, as in [Published], is in
// place and served, with or without its signatures: whether it can be judged
// again is what Holds says.
func (s *Store) Serves(owner Owner, path, digest string) bool {
	hex, ok := hexOf(digest)
	if !ok || owner.validate() != nil || path != owner.archive(hex) || s.isDenied(owner) {
		return false
	}
	_, unlock := s.lock(owner)
	defer unlock()
	f, whole, err := s.openChecked(owner.archive(hex), 0, isArchive(hex))
	if err != nil {
		return false
	}
	return f.Close() == nil && whole
}

// Has reports whether there may be anything of the owner's: on the disk, or
// under way to be withdrawn.
func (s *Store) Has(owner Owner) bool {
	if owner.validate() != nil {
		return false
	}
	names, err := s.names(owner.folder())
	return err != nil || len(names) > 0 || s.isDenied(owner)
}

// mayHold reports whether there is a file of that name, whatever is in it.
func (s *Store) mayHold(owner Owner, hex string) bool {
	f, err := s.openRegular(owner.archive(hex))
	return err == nil && f.Close() == nil
}

// isWhole removes an archive that is not what its name says. The caller has the
// owner's lock.
func (s *Store) isWhole(owner Owner, hex string) (bool, error) {
	f, whole, err := s.openChecked(owner.archive(hex), 0, isArchive(hex))
	if err != nil {
		return false, err // The disk failed or has nothing: nothing is known to be wrong.
	}
	if err := f.Close(); err != nil {
		return false, err
	}
	if !whole {
		return false, s.removeArchive(owner, hex)
	}
	f, whole, err = s.openChecked(owner.signatures(hex), 0, areSignatures)
	if err != nil {
		return false, err
	}
	return whole, f.Close()
}

// openChecked opens a file and asks whether it is whole; see checks.ask.
func (s *Store) openChecked(name string, age time.Duration, judge func(io.Reader) (bool, error)) (*os.File, bool, error) {
	f, err := s.openRegular(name)
	if err != nil {
		return nil, false, err
	}
	whole, err := s.checks.ask(name, f, age, judge)
	if err != nil {
		return nil, false, errors.Join(err, f.Close())
	}
	return f, whole, nil
}

// openForServing opens an archive that is whole; to others, and to those of
// owners who are denied, it says fs.ErrNotExist. It does not wait for the
// owner's lock, which is held for as long as a publication takes.
func (s *Store) openForServing(owner Owner, hex string, age time.Duration) (*os.File, error) {
	if s.isDenied(owner) {
		return nil, fs.ErrNotExist
	}
	f, whole, err := s.openChecked(owner.archive(hex), age, isArchive(hex))
	if err != nil {
		return nil, err
	}
	if !whole {
		s.foundDamage(owner, hex)
		return nil, errors.Join(fs.ErrNotExist, f.Close())
	}
	return f, nil
}

// foundDamage removes an archive that was found damaged, unless it is whole by
// now or the owner is at work, and tells.
func (s *Store) foundDamage(owner Owner, hex string) {
	s.onError(storageFailed("the archive of "+owner.String(), errDamaged))
	if own, unlock := s.tryLock(owner); own != nil {
		if _, err := s.isWhole(owner, hex); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.onError(storageFailed("removing the damaged archive of "+owner.String(), err))
		}
		unlock()
	}
	s.onDamage(owner)
}

var errDamaged = errors.New("expected the content that its name says, found another")
