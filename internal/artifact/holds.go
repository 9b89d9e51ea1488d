package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
)

// Holds reports whether the archive of status.artifact, as in [Published], is
// in place with its signatures. The first time in a process it reads the
// archive and compares its digest, since the disk may have changed while nobody
// looked; after that it looks at name and size only, so that it can be asked at
// every poll. An archive that is not what its name says is removed, because the
// server would serve it.
func (s *Store) Holds(owner Owner, path, digest string) bool {
	hex, ok := hexOf(digest)
	if !ok || owner.validate() != nil || path != owner.archive(hex) {
		return false
	}
	own, unlock := s.lock(owner)
	defer unlock()
	whole, err := s.isWhole(own, owner, hex)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.onError(storageFailed("checking the archive of "+owner.String(), err))
	}
	return whole
}

func (s *Store) isWhole(own *shelf, owner Owner, hex string) (bool, error) {
	whole, err := s.compare(own, owner, hex)
	if whole {
		return true, nil
	}
	delete(own.checked, hex)
	if err != nil {
		return false, err // The disk failed or has nothing: nothing is known to be wrong.
	}
	return false, s.removeArchive(owner, hex)
}

// compare is false without an error when the archive is there and is not what
// its name says.
func (s *Store) compare(own *shelf, owner Owner, hex string) (bool, error) {
	info, err := s.statRegular(owner.archive(hex))
	if err != nil {
		return false, err
	}
	if _, err := s.statRegular(owner.signatures(hex)); err != nil {
		return false, err
	}
	if size, ok := own.checked[hex]; ok {
		return size == info.Size(), nil
	}
	if _, err := s.readSignatures(owner, hex); err != nil {
		return false, err
	}
	found, size, err := s.hash(owner.archive(hex))
	if err != nil || found != hex {
		return false, err
	}
	own.checked[hex] = size
	return true, nil
}

// hash returns the hexadecimal SHA-256 and the size of a file of the store.
func (s *Store) hash(name string) (string, int64, error) {
	f, err := s.openRegular(name)
	if err != nil {
		return "", 0, err
	}
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(hash.Sum(nil)), size, nil
}
