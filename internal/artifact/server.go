package artifact

import (
	"context"
	"errors"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Bounds of a connection. None bounds a whole download: that of a large archive
// over a slow link may take as long as it moves.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 8 << 10

	// stallTimeout ends a download of which less than 32 KiB, what
	// http.ServeContent writes at once, was taken in that time.
	stallTimeout = 30 * time.Second

	// partAge is how old the last reading of the whole archive may be when a part
	// of it is sent, of which nobody can tell whether it is right.
	partAge = time.Minute

	// retryAfter is when to ask again for what is not there yet, in seconds: a
	// replica takes over, or a ModuleSource is looked at, within seconds.
	retryAfter = 5

	archiveType = "application/gzip"

	// shutdownGrace is what downloads get to finish when the server stops.
	shutdownGrace = 15 * time.Second
)

// Server serves the archives of a store, and nothing else, over HTTP; of several
// processes, the one that publishes does, and the others pass requests on to it.
// It is for inside the cluster: who may reach it may download.
type Server struct {
	// Store is whose archives are served.
	Store *Store
	// Addr is the TCP address to listen on, "host:port"; port 0 is any free
	// one, which Listen tells.
	Addr string
	// Listener is listened on instead of Addr if it is not nil. The server
	// closes it.
	Listener net.Listener
	// ErrorLog gets the errors of connections; nil is the log package's
	// standard logger.
	ErrorLog *log.Logger
	// OnAnswer is told of each answer at its end: its status, which is 200 for a
	// download that broke off, too, and how many bytes of a body were sent. It
	// must not wait; nil tells nobody.
	OnAnswer func(code int, sent int64)
	// Leads reports whether this process is the one that publishes, so that its
	// store is what is published. One that is not never serves what is on its own
	// disk, which another may have withdrawn: it passes requests on. Nil is yes.
	Leads func() bool
	// Leader is the address of the process that publishes; the zero value while
	// none is known. It is asked only where Leads says no.
	Leader func() netip.AddrPort
	// Expects says what is known of an archive beyond the store; nil: nothing.
	Expects func(Owner, string) Expectation

	hops hops
}

// Expectation is what is known of an archive beyond the store that holds it, or
// does not.
type Expectation int

const (
	// ExpectSettled says that the store is right. This process has looked at the owner.
	ExpectSettled Expectation = iota
	// ExpectPublished says that it is published, and this process has not looked at
	// the owner yet. What the store does not hold will be there soon.
	ExpectPublished
	// ExpectUnsettled says that something else of the owner's is published, and this
	// process has not looked at the owner yet. What is on the disk may have been
	// replaced a moment ago, which is served for a while, or withdrawn, which is not.
	ExpectUnsettled
	// ExpectGone says that there is no such owner.
	ExpectGone
)

// Listen opens the listener, once, and returns its address. It need not be
// called, but must not be called after Start.
func (s *Server) Listen() (net.Addr, error) {
	if s.Listener == nil {
		listener, err := net.Listen("tcp", s.Addr)
		if err != nil {
			return nil, err
		}
		s.Listener = listener
	}
	return s.Listener.Addr(), nil
}

// Start serves until ctx ends, lets downloads finish for 15 seconds, and
// returns nil; or returns an error at once if it cannot listen.
func (s *Server) Start(ctx context.Context) error {
	if _, err := s.Listen(); err != nil {
		return err
	}
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      stallTimeout, // until the first chunk extends it
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          s.ErrorLog,
		// "OPTIONS *" is refused like any other method.
		DisableGeneralOptionsHandler: true,
	}
	defer s.hops.close()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(s.Listener) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		// Downloads that are still going on are cut. Their clients notice, and
		// there is nobody else to tell.
		_ = server.Close()
	}
	if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler answers GET and HEAD of the paths in [Published], with ranges and
// entity tags (RFC 9110), and refuses everything else: it lists no folder,
// redirects nowhere, and cleans no path.
//
// An archive that the file system says has changed since it was read is read
// before it is sent; what is not what its name says is not found. A whole
// archive is hashed while it is sent, too, and its last bytes stay here unless
// the digest is that of its name: what a disk gets wrong without anybody writing
// to it ends as a connection that breaks. Parts are of an archive that was read
// to its end a minute ago at the most.
func (s *Server) Handler() http.Handler { return s.counted(http.HandlerFunc(s.serve)) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	// To be asked for each time: trust in it may have been withdrawn since.
	header.Set("Cache-Control", "no-cache")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	path, rooted := strings.CutPrefix(r.URL.Path, "/")
	owner, hex, ok := parseArchivePath(path)
	// A RawPath is another spelling of the path.
	if !rooted || !ok || r.URL.RawPath != "" {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if s.Leads != nil && !s.Leads() {
		s.passOn(w, r, owner, hex)
		return
	}
	s.serveStored(w, r, owner, hex)
}

func (s *Server) serveStored(w http.ResponseWriter, r *http.Request, owner Owner, hex string) {
	expected := ExpectSettled
	if s.Expects != nil {
		expected = s.Expects(owner, digestOf(hex))
	}
	if expected == ExpectGone || expected == ExpectUnsettled {
		s.withhold(w, expected, owner, hex)
		return
	}
	age := time.Duration(0)
	if r.Header.Get("Range") != "" {
		age = partAge
	}
	f, err := s.Store.openForServing(owner, hex, age)
	switch {
	case errors.Is(err, fs.ErrNotExist) && expected == ExpectPublished:
		unavailable(w, retryAfter)
		return
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, "not found", http.StatusNotFound)
		return
	case err != nil:
		http.Error(w, "the archive cannot be read", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	header := w.Header()
	header.Set("Content-Type", archiveType)
	header.Set("ETag", etagOf(hex))
	// No modification time: it is the store's mark.
	whole := &wholeWriter{
		ResponseWriter: &patientWriter{w, http.NewResponseController(w)},
		want:           hex,
		damaged: func() {
			s.Store.checks.forget(owner.archive(hex))
			s.Store.foundDamage(owner, hex)
		},
	}
	http.ServeContent(whole, r, "", time.Time{}, f)
}

// withhold answers for what may be on the disk and is not served.
func (s *Server) withhold(w http.ResponseWriter, expected Expectation, owner Owner, hex string) {
	if expected == ExpectUnsettled && s.Store.mayHold(owner, hex) {
		unavailable(w, retryAfter)
		return
	}
	http.Error(w, "not found", http.StatusNotFound)
}

// unavailable answers that it is worth asking again, after so many seconds.
func unavailable(w http.ResponseWriter, after int) {
	w.Header().Set("Retry-After", strconv.Itoa(after))
	http.Error(w, "not available at the moment", http.StatusServiceUnavailable)
}

func etagOf(hex string) string { return `"` + digestOf(hex) + `"` }

// patientWriter gives each chunk of a download a time of its own. It hides
// io.ReaderFrom, which would send the file in one go under one deadline.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (w *patientWriter) Write(p []byte) (int, error) {
	// A writer without deadlines is that of a test.
	if err := w.control.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}
