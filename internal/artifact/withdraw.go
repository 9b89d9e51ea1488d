package artifact

import (
	"errors"
	"io/fs"
	"path"
)

// Withdraw removes everything of the owner's now, without retention: the trust
// in it was withdrawn, or the object deleted. Whoever is downloading has the
// rest of the file; nobody can begin to, even where the disk does not let the
// files go: until they are gone, nothing of the owner's is served or published
// by this process, and Collect tries again. Withdrawing from an owner who has
// nothing is no error. The error is an *Error of [ReasonStorageFailed], after as
// much as possible was removed.
func (s *Store) Withdraw(owner Owner) error {
	if err := owner.validate(); err != nil {
		return err
	}
	own, unlock := s.lock(owner)
	defer unlock()
	if err := s.withdraw(own, owner); err != nil {
		return storageFailed("withdrawing the archives", err)
	}
	return nil
}

// KeepOnly removes the owner's archives but that of a digest, as in [Published],
// without retention: trust changed, and those that were superseded are not
// judged again. The error is an *Error of [ReasonStorageFailed], after as much as
// possible was removed; calling again tries again.
func (s *Store) KeepOnly(owner Owner, digest string) error {
	keep, ok := hexOf(digest)
	if err := owner.validate(); err != nil || !ok {
		return err
	}
	_, unlock := s.lock(owner)
	defer unlock()
	found, err := s.list(owner)
	errs := []error{err}
	for hex := range found.archives {
		if hex != keep {
			errs = append(errs, s.removeArchive(owner, hex))
		}
	}
	if len(errs) > 1 {
		// Or a crash of the machine could bring them back.
		if err := s.syncFolder(owner.folder()); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return storageFailed("removing superseded archives", err)
	}
	return nil
}

func (s *Store) withdraw(own *shelf, owner Owner) error {
	own.current = ""
	s.deny(owner, true)
	if err := s.removeAll(owner); err != nil {
		return err
	}
	s.deny(owner, false)
	return nil
}

func (s *Store) removeAll(owner Owner) error {
	s.checks.forgetBelow(owner.folder())
	found, err := s.list(owner)
	errs := []error{err}
	// All archives before any signatures, for the sake of a crash.
	for hex := range found.archives {
		if err := s.root.Remove(owner.archive(hex)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := s.root.RemoveAll(owner.folder()); err != nil {
		return err
	}
	s.held.set(owner, nil)
	// Or a crash of the machine could bring them back.
	if err := s.syncFolder(path.Dir(owner.folder())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.removeIfEmpty(path.Dir(owner.folder()))
}

func (s *Store) deny(owner Owner, denied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if denied {
		s.denied[owner] = true
	} else {
		delete(s.denied, owner)
	}
}

func (s *Store) isDenied(owner Owner) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.denied[owner]
}

// Sweep removes everything of the owners that keep says no to, what no owner can
// have, and the unfinished work of other processes, which must be dead or have
// lost the right to publish. It is for when keep knows all objects. Publish may
// be at work meanwhile: keep is asked under the owner's lock, and must not call
// the store. The error is an *Error of [ReasonStorageFailed], after as much as
// possible was removed.
func (s *Store) Sweep(keep func(Owner) bool) error {
	namespaces, err := s.names(archiveFolder)
	errs := []error{err, s.sweepTemp()}
	for _, namespace := range namespaces {
		errs = append(errs, s.sweepNamespace(namespace, keep))
	}
	if err := errors.Join(errs...); err != nil {
		return storageFailed("removing what has no owner", err)
	}
	return nil
}

// sweepTemp removes what other processes left unfinished.
func (s *Store) sweepTemp() error {
	names, err := s.names(tempFolder)
	errs := []error{err}
	for _, name := range names {
		if other := path.Join(tempFolder, name); other != s.temp {
			errs = append(errs, s.root.RemoveAll(other))
		}
	}
	return errors.Join(errs...)
}

func (s *Store) sweepNamespace(namespace string, keep func(Owner) bool) error {
	folder := path.Join(archiveFolder, namespace)
	if info, err := s.root.Lstat(folder); err != nil || !info.IsDir() {
		return errors.Join(err, s.root.RemoveAll(folder))
	}
	names, err := s.names(folder)
	errs := []error{err}
	for _, name := range names {
		owner := Owner{Namespace: namespace, Name: name}
		if owner.validate() != nil {
			errs = append(errs, s.root.RemoveAll(path.Join(folder, name)))
			continue
		}
		errs = append(errs, s.sweepOwner(owner, keep))
	}
	return errors.Join(append(errs, s.removeIfEmpty(folder))...)
}

func (s *Store) sweepOwner(owner Owner, keep func(Owner) bool) error {
	own, unlock := s.lock(owner)
	defer unlock()
	if info, err := s.root.Lstat(owner.folder()); err == nil && !info.IsDir() {
		return s.root.RemoveAll(owner.folder())
	}
	if keep(owner) {
		_, _ = s.list(owner) // For Held; what cannot be listed is noticed elsewhere.
		return nil
	}
	return s.withdraw(own, owner)
}

// makeFolder makes the owner's folder.
func (s *Store) makeFolder(owner Owner) error {
	s.folders.Lock()
	defer s.folders.Unlock()
	return s.root.MkdirAll(owner.folder(), 0o700)
}

// removeIfEmpty removes a namespace's folder once no owner has one in it.
func (s *Store) removeIfEmpty(folder string) error {
	s.folders.Lock()
	defer s.folders.Unlock()
	names, err := s.names(folder)
	if err != nil || len(names) > 0 {
		return err
	}
	if err := s.root.Remove(folder); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
