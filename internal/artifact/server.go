package artifact

import (
	"context"
	"errors"
	"io/fs"
	"log"
	"net"
	"net/http"
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

	// shutdownGrace is what downloads get to finish when the server stops.
	shutdownGrace = 15 * time.Second
)

// Server serves the archives of a store, and nothing else, over HTTP. It is for
// inside the cluster: who may reach it may download.
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
}

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
	age := time.Duration(0)
	if r.Header.Get("Range") != "" {
		age = partAge
	}
	f, err := s.Store.openForServing(owner, hex, age)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, "not found", http.StatusNotFound)
		return
	case err != nil:
		http.Error(w, "the archive cannot be read", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	header.Set("Content-Type", "application/gzip")
	header.Set("ETag", `"sha256:`+hex+`"`)
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
