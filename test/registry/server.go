package registry

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Options change how a registry behaves. The zero value is an open registry
// that lists all tags at once unless it is asked for pages.
type Options struct {
	// Auth is what the registry asks of its clients. Nil asks nothing.
	Auth Auth

	// PageSize is the most tags that one answer lists, as a registry with a
	// limit of its own does it: the rest is behind a Link header, and a client
	// that asks for more gets this many all the same. 0 means no limit.
	PageSize int
}

// Server is a registry that listens on 127.0.0.1. Its methods may be called
// from several goroutines, and, except Close, from inside an [Interceptor].
type Server struct {
	host     string
	backend  http.Handler
	shutdown func() error
	log      requestLog

	// conns counts the connections that are being served. It outlives the
	// restarts of Down and Up, so that Close can wait for all of them.
	conns sync.WaitGroup

	mu        sync.Mutex
	running   *http.Server // nil while down
	served    chan struct{}
	closed    bool
	intercept Interceptor
}

// start serves backend on a free port. shutdown is called once, by Close.
func start(backend http.Handler, shutdown func() error, o Options) (*Server, error) {
	listener, err := listen()
	if err != nil {
		return nil, errors.Join(err, shutdown())
	}
	s := &Server{
		host:     listener.Addr().String(),
		backend:  guard(o.Auth, backend),
		shutdown: shutdown,
	}
	s.serve(listener)
	return s, nil
}

// Ports are taken from below the range that operating systems give out by
// themselves (from 32768 on Linux, 49152 elsewhere). A port from that range
// could be given to another process while the server is down, and Up would
// not get it back.
const (
	firstPort    = 20000
	ports        = 10000
	listenTrials = 100
)

// listen takes a random free port of 127.0.0.1.
func listen() (net.Listener, error) {
	var errs []error
	for range listenTrials {
		port := strconv.Itoa(firstPort + rand.IntN(ports))
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return listener, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no free port after %d trials: %w", listenTrials, errors.Join(errs...))
}

// serve starts to answer on listener. The caller holds mu, or is the only one
// who knows s.
func (s *Server) serve(listener net.Listener) {
	srv := &http.Server{
		Handler:           http.HandlerFunc(s.handle),
		ConnState:         s.countConn,
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: time.Minute,
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(listener) // always fails in the end: with ErrServerClosed
	}()
	s.running, s.served = srv, served
}

// countConn follows the states of connections. New comes before Serve can
// return, and closed or hijacked comes last and after the handler.
func (s *Server) countConn(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	default:
	}
}

// handle records the request and passes it through the interceptor, if there
// is one, to the registry.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	s.log.add(r)
	s.mu.Lock()
	intercept := s.intercept
	s.mu.Unlock()
	if intercept == nil {
		s.backend.ServeHTTP(w, r)
		return
	}
	intercept(w, r, s.backend)
}

// Host is "127.0.0.1:port", as it stands in references. It stays the same for
// the life of the server.
func (s *Server) Host() string { return s.host }

// Down stops listening and drops every connection, with whatever request is
// under way on it. From then on connections are refused; what was pushed is
// kept. Nothing happens if the server is down already.
func (s *Server) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return
	}
	_ = s.running.Close() // the listener's error, which nobody can act upon
	<-s.served
	s.running = nil
}

// Up listens again, on the port that the server had before. It fails if
// something else has taken that port, and after Close. Nothing happens if the
// server is up.
func (s *Server) Up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("registry: closed")
	}
	if s.running != nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.host)
	if err != nil {
		return fmt.Errorf("registry: coming back on %s: %w", s.host, err)
	}
	s.serve(listener)
	return nil
}

// Close ends the server, and waits for the requests under way, whose contexts
// are cancelled by it. Only the first call does something.
func (s *Server) Close() error {
	s.Down()
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if !first {
		return nil
	}
	s.conns.Wait()
	return s.shutdown()
}
