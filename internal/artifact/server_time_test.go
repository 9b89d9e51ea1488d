package artifact

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are in memory, so that a bubble's time
// passes while they wait.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes {
	return &pipes{make(chan net.Conn), make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// served runs f in a bubble with a server of one archive of 16 chunks.
func served(t *testing.T, f func(dial func() net.Conn, stop func() error, request string, size int64)) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Options{})
		published, _ := publish(t, s, owner, layer(regular("a", incompressible(512<<10))))
		listener := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- (&Server{Store: s, Listener: listener}).Start(ctx) }()
		stop := func() error {
			cancel()
			return <-stopped
		}
		f(listener.dial, stop, "GET /"+published.Path+" HTTP/1.1\r\nHost: x\r\n\r\n", published.Size)
	})
}

// download asks and returns the body, of which nothing is read yet.
func download(t *testing.T, conn net.Conn, reader *bufio.Reader, request string) io.ReadCloser {
	t.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("found %s", response.Status)
	}
	return response.Body
}

func TestServerLetsASlowDownloadGoOn(t *testing.T) {
	served(t, func(dial func() net.Conn, stop func() error, request string, size int64) {
		conn := dial()
		defer conn.Close()
		reader := bufio.NewReader(conn)
		// The second on the same connection, which was idle for a while.
		for range 2 {
			begun := time.Now()
			body := download(t, conn, reader, request)
			var n int64
			for {
				read, err := io.CopyN(io.Discard, body, 32<<10)
				if n += read; errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("after %d bytes and %v: %v", n, time.Since(begun), err)
				}
				time.Sleep(stallTimeout - time.Second)
			}
			if took := time.Since(begun); n != size || took < 5*time.Minute {
				t.Errorf("expected %d bytes, slowly, found %d in %v", size, n, took)
			}
			time.Sleep(idleTimeout - time.Second)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestServerEndsAStuckDownload(t *testing.T) {
	served(t, func(dial func() net.Conn, stop func() error, request string, size int64) {
		conn := dial()
		defer conn.Close()
		body := download(t, conn, bufio.NewReader(conn), request)
		if _, err := io.CopyN(io.Discard, body, 100_000); err != nil {
			t.Fatal(err)
		}
		time.Sleep(stallTimeout + time.Second)
		if n, err := io.Copy(io.Discard, body); err == nil || n > 100_000 {
			t.Errorf("expected the connection closed, found %d bytes more and %v", n, err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// The time for an answer that is no download is its own, and not what an
// earlier download on the connection left.
func TestServerAnswersAfterADownload(t *testing.T) {
	served(t, func(dial func() net.Conn, stop func() error, request string, size int64) {
		conn := dial()
		defer conn.Close()
		reader := bufio.NewReader(conn)
		if n, err := io.Copy(io.Discard, download(t, conn, reader, request)); err != nil || n != size {
			t.Fatalf("found %d bytes, %v", n, err)
		}
		time.Sleep(idleTimeout - time.Second)
		if _, err := io.WriteString(conn, "GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil || response.StatusCode != http.StatusNotFound {
			t.Errorf("expected 404, found %v, %v", response, err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestServerEndsAnAnswerThatNobodyReads(t *testing.T) {
	served(t, func(dial func() net.Conn, stop func() error, _ string, _ int64) {
		conn := dial()
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(stallTimeout + time.Second)
		if n, _ := io.Copy(io.Discard, conn); n > 0 {
			t.Errorf("expected the connection closed, found an answer of %d bytes", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestServerEndsConnectionsThatSayNothing(t *testing.T) {
	cases := map[string]struct {
		say  string
		wait time.Duration
	}{
		"at all":              {"", readTimeout},
		"after half a header": {"GET / HTTP/1.1\r\nHost: x\r\n", readHeaderTimeout},
		"after a request":     {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", idleTimeout},
		"of the body":         {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx", readTimeout},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			served(t, func(dial func() net.Conn, stop func() error, _ string, _ int64) {
				conn := dial()
				defer conn.Close()
				go io.WriteString(conn, c.say)
				begun := time.Now()
				if _, err := io.Copy(io.Discard, conn); err != nil {
					t.Errorf("found %v", err)
				}
				if took := time.Since(begun); took > c.wait+time.Second {
					t.Errorf("expected the connection closed after %v, found %v", c.wait, took)
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestServerStops(t *testing.T) {
	cases := map[string]struct {
		pause    time.Duration // after which the client reads on
		finished bool
	}{
		"after a download that goes on":        {shutdownGrace - time.Second, true},
		"without a download that does not end": {shutdownGrace + time.Second, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			served(t, func(dial func() net.Conn, stop func() error, request string, size int64) {
				conn := dial()
				defer conn.Close()
				body := download(t, conn, bufio.NewReader(conn), request)
				stopped := make(chan error, 1)
				begun := time.Now()
				go func() { stopped <- stop() }()
				time.Sleep(c.pause)
				n, err := io.Copy(io.Discard, body)
				if finished := err == nil && n == size; finished != c.finished {
					t.Errorf("expected the whole download: %v, found %d of %d bytes, %v", c.finished, n, size, err)
				}
				if err := <-stopped; err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took > shutdownGrace+time.Second {
					t.Errorf("stopping took %v", took)
				}
			})
		})
	}
}
