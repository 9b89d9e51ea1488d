package trust

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sigstore/sigstore-go/pkg/tuf"
)

// Options say where the trusted root comes from. The zero value stands for
// Sigstore's public-good instance.
type Options struct {
	// File is the path of a trusted_root.json: then there is no TUF at all. It
	// is read again every minute, so it may be replaced.
	File string
	// Mirror is the base URL of a TUF repository, over https or http: what it
	// answers is trusted by signature only. Empty stands for Sigstore's
	// public-good instance.
	Mirror string
	// TUFRoot is a root.json of Mirror, the trust anchor. It is needed exactly
	// when Mirror is given.
	TUFRoot []byte
	// UserAgent introduces the controller to the mirror.
	UserAgent string
	// Log is told once of every failed attempt, and of every change.
	Log logr.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// OnChange is called after the root in use has become another one, by its
	// hash: the first, a new one, or none because its metadata expired. No lock
	// is held; the next refresh waits for its return. May be nil.
	OnChange func()
}

// New makes a Source. It asks nobody and reads no file; Start does. An error
// names the flags of the command line that do not go together or cannot be
// used.
func New(o Options) (*Source, error) {
	from, interval, err := o.origin()
	if err != nil {
		return nil, err
	}
	s := &Source{
		origin:   from,
		interval: interval,
		timeout:  refreshTimeout,
		log:      o.Log,
		now:      o.Now,
		onChange: o.OnChange,
		newTimer: newTimer,
		wanted:   make(chan struct{}, 1),
		eager:    o.File != "",
		needed:   make(chan struct{}),
		failures: prometheus.NewCounter(failuresOpts),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.onChange == nil {
		s.onChange = func() {}
	}
	s.state.Store(&state{cause: NotFetched})
	return s, nil
}

// origin is where the root comes from, and how often it is looked at.
func (o Options) origin() (origin, time.Duration, error) {
	switch {
	case o.File != "" && (o.Mirror != "" || len(o.TUFRoot) > 0):
		return nil, 0, errors.New("--trusted-root excludes --tuf-mirror and --tuf-root")
	case o.File != "":
		return file(o.File), fileInterval, nil
	case o.Mirror != "" && len(o.TUFRoot) == 0:
		return nil, 0, errors.New("--tuf-mirror needs --tuf-root: a root.json of that repository, which the first refresh begins with")
	case o.Mirror == "" && len(o.TUFRoot) > 0:
		return nil, 0, errors.New("--tuf-root needs --tuf-mirror: the repository that it is the root.json of")
	case o.Mirror == "":
		o.Mirror, o.TUFRoot = tuf.DefaultMirror, tuf.DefaultRoot()
	}
	base, err := parseMirror(o.Mirror)
	if err != nil {
		return nil, 0, fmt.Errorf("--tuf-mirror: %w", err)
	}
	r, err := newRepository(newClient(base, o.UserAgent), o.TUFRoot)
	if err != nil {
		return nil, 0, fmt.Errorf("--tuf-root: %w", err)
	}
	return r, mirrorInterval, nil
}

// parseMirror reads the base URL of a TUF repository. It may hold user-info
// and a query, so errors do not repeat it.
func parseMirror(mirror string) (*url.URL, error) {
	base, err := url.Parse(mirror)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	if base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || base.Fragment != "" {
		return nil, errors.New("expected https://<host>/<path>")
	}
	return base, nil
}
