package artifact

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"
)

// Options configure a [Store].
type Options struct {
	// Root is the folder that the store has for itself, made if it is not
	// there. One process at a time may publish there: others may have a store on
	// it that only serves, and take over.
	Root string
	// Limits bound each artifact.
	Limits Limits
	// Retention is how long a superseded archive is still served, for those
	// who have read its address and not downloaded it yet. Zero or more.
	Retention time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// OnError gets the errors of work in the background, which is tried again;
	// nil drops them.
	OnError func(error)
	// OnDamage gets the owner of an archive that was found to be damaged or
	// gone bad when somebody asked for it: [Store.Holds] says no from now on. It
	// must not call the store, nor wait. Nil tells nobody.
	OnDamage func(Owner)
}

// Store publishes archives below a folder and retires them. Its methods may be
// called concurrently; calls for different owners do not wait for one another.
type Store struct {
	dir       string // absolute
	root      disk
	temp      string // this process's own folder for work in progress
	limits    Limits
	retention time.Duration
	now       func() time.Time
	onError   func(error)
	onDamage  func(Owner)
	checks    *checks
	held      *ledger

	mu     sync.Mutex
	owners map[Owner]*shelf
	// denied are those whose withdrawal did not succeed: nothing of theirs is
	// served, whatever is on the disk.
	denied map[Owner]bool

	// folders keeps the making of an owner's folder apart from the removal of
	// the namespace's, which owners share. It is held for no more than that.
	folders sync.Mutex
}

// shelf is what the process knows of an owner's archives.
type shelf struct {
	users int // who hold or wait for the lock; guarded by Store.mu

	mu      sync.Mutex
	current string // the hex of the current archive; empty: not known
}

// NewStore makes the root if it is not there, and proves that it can be written
// to. What a crash left unfinished goes with [Store.Sweep]. The error is an *Error of
// [ReasonStorageFailed] when the disk fails, and another one for options out of
// bounds.
func NewStore(o Options) (*Store, error) {
	limits, err := o.Limits.WithDefaults()
	if err != nil {
		return nil, err
	}
	if o.Retention < 0 {
		return nil, fmt.Errorf("Options.Retention: expected zero or more, found %v", o.Retention)
	}
	if o.Root == "" {
		return nil, errors.New("Options.Root: expected a folder, found nothing")
	}
	dir, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, storageFailed("finding the root", err)
	}
	s := &Store{
		dir:       dir,
		limits:    limits,
		retention: o.Retention,
		now:       o.Now,
		onError:   o.OnError,
		onDamage:  o.OnDamage,
		checks:    newChecks(),
		held:      newLedger(),
		owners:    map[Owner]*shelf{},
		denied:    map[Owner]bool{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.onError == nil {
		s.onError = func(error) {}
	}
	if s.onDamage == nil {
		s.onDamage = func(Owner) {}
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) open() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return storageFailed("making the root", err)
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return storageFailed("opening the root", err)
	}
	s.root = root
	if err := s.prepare(); err != nil {
		return errors.Join(err, root.Close())
	}
	return nil
}

func (s *Store) prepare() error {
	s.temp = path.Join(tempFolder, "process-"+rand.Text())
	for _, folder := range []string{s.temp, archiveFolder} {
		if err := s.root.MkdirAll(folder, 0o700); err != nil {
			return storageFailed("making the folders of the store", err)
		}
	}
	temp, cleanup, err := s.TempDir()
	if err != nil {
		return err
	}
	defer cleanup()
	if err := writeFile(filepath.Join(temp, "probe"), []byte("probe")); err != nil {
		return storageFailed("writing to the root", err)
	}
	return nil
}

// Close releases the root. The store must not be used afterwards.
func (s *Store) Close() error { return s.root.Close() }

// TempDir makes an empty folder on the store's file system, for the layers of
// one attempt, and returns its absolute path and what removes it. The server
// never serves what is in it, and [Store.Sweep] removes what a crash left. The
// error is an *Error of [ReasonStorageFailed].
func (s *Store) TempDir() (string, func(), error) {
	// Somebody may have emptied the volume.
	if err := s.root.MkdirAll(s.temp, 0o700); err != nil {
		return "", nil, storageFailed("making a temporary folder", err)
	}
	dir, err := os.MkdirTemp(filepath.Join(s.dir, filepath.FromSlash(s.temp)), "work-")
	if err != nil {
		return "", nil, storageFailed("making a temporary folder", err)
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			s.onError(storageFailed("removing a temporary folder", err))
		}
	}, nil
}

// lock takes the owner's lock and returns what releases it.
func (s *Store) lock(o Owner) (*shelf, func()) {
	own := s.use(o)
	own.mu.Lock()
	return own, func() {
		own.mu.Unlock()
		s.drop(o, own)
	}
}

// tryLock is lock, or nil if somebody else has the lock.
func (s *Store) tryLock(o Owner) (*shelf, func()) {
	own := s.use(o)
	if !own.mu.TryLock() {
		s.drop(o, own)
		return nil, func() {}
	}
	return own, func() {
		own.mu.Unlock()
		s.drop(o, own)
	}
}

func (s *Store) use(o Owner) *shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, ok := s.owners[o]
	if !ok {
		own = &shelf{}
		s.owners[o] = own
	}
	own.users++
	return own
}

// drop forgets an owner that nobody uses and of whom nothing is known, or
// deleted objects would add up. Nobody else can have own.mu then.
func (s *Store) drop(o Owner, own *shelf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.users--; own.users == 0 && own.current == "" {
		delete(s.owners, o)
	}
}

// relative is the path below the root of a path that TempDir returned.
func (s *Store) relative(temp, name string) string {
	return path.Join(s.temp, filepath.Base(temp), name)
}
