package trust

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestConnectionRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	c := newClock()
	o := newMirror(t, c.Now()).options()
	o.Mirror = "http://user:SECRET@" + listener.Addr().String() + "/tuf?token=SECRET"
	r := begin(t, c, o)
	r.wantFailures(1, Unreachable)
	r.wantUnavailable("the TUF mirror "+listener.Addr().String(), Unreachable)
	_, err = r.Snapshot()
	if want := "no trusted root: the TUF mirror " + listener.Addr().String() + ": it cannot be reached"; err.Error() != want {
		t.Errorf("expected %q, found %q", want, err)
	}
	if want := "2.root.json: connection refused"; !strings.Contains(r.log.String(), want) {
		t.Errorf("expected %q in the log, found:\n%s", want, r.log)
	}
	if strings.Contains(r.log.String(), "SECRET") {
		t.Errorf("the log has a secret:\n%s", r.log)
	}
}

// What a mirror's URL holds beside host and path reaches the mirror.
func TestMirrorURL(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	m.answer(func(w http.ResponseWriter, r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		raw, ok := m.state()[strings.TrimPrefix(r.URL.Path, "/tuf/")]
		switch {
		case user != "user" || password != "SECRET" || r.URL.RawQuery != "token=SECRET":
			return status(http.StatusUnauthorized)(w, r)
		case !ok:
			return status(http.StatusNotFound)(w, r)
		}
		_, _ = w.Write(raw)
		return true
	})
	o := m.options()
	o.Mirror = strings.Replace(m.server.URL, "http://", "http://user:SECRET@", 1) + "/tuf/?token=SECRET"
	r := begin(t, c, o)
	r.wantRoot(oneRoot, 1)
	m.answer(status(http.StatusBadGateway))
	r.attempt()
	r.wantFailures(1, Unreachable)
	if strings.Contains(r.log.String(), "SECRET") {
		t.Errorf("the log has a secret:\n%s", r.log)
	}
}

// A mirror may keep its files elsewhere, but not over a protocol that is less
// than its own.
func TestRedirects(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, m.server.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(front.Close)
	o := m.options()
	o.Mirror = front.URL
	r := begin(t, c, o)
	r.wantRoot(oneRoot, 1)

	m.answer(redirects("/again"))
	m.taken()
	r.attempt()
	r.wantFailures(1, Unreachable)
	if found := len(m.taken()); found != maxRedirects {
		t.Errorf("expected %d redirects after the first to be followed, found %d", maxRedirects, found)
	}

	request := func(url string) *http.Request { return httptest.NewRequest(http.MethodGet, url, nil) }
	first := request("https://mirror.example.com/1.root.json")
	if err := checkRedirect(request("http://mirror.example.com/1.root.json"), []*http.Request{first}); err == nil {
		t.Error("expected a redirect from https to http to be refused")
	}
	if err := checkRedirect(request("https://cdn.example.com/1.root.json"), []*http.Request{first}); err != nil {
		t.Errorf("expected a redirect from https to https to be followed, found %v", err)
	}
}

func TestMirrorCertificate(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	secure := httptest.NewUnstartedServer(m)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	o := m.options()
	o.Mirror = secure.URL
	r := begin(t, c, o)
	r.wantFailures(1, Unreachable)
	if want := "2.root.json: the mirror's certificate is not valid"; !strings.Contains(r.log.String(), want) {
		t.Errorf("expected %q in the log, found:\n%s", want, r.log)
	}
	if len(m.taken()) != 0 {
		t.Error("the mirror was asked nevertheless")
	}
}

// One refresh takes one connection, which does not stay open until the next.
func TestConnection(t *testing.T) {
	c := newClock()
	m := newMirror(t, c.Now())
	front := httptest.NewUnstartedServer(m)
	opened, closed := make(chan struct{}, 100), make(chan struct{}, 100)
	front.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			opened <- struct{}{}
		case http.StateClosed:
			closed <- struct{}{}
		}
	}
	front.Start()
	t.Cleanup(front.Close)
	o := m.options()
	o.Mirror = front.URL
	begin(t, c, o).wantRoot(oneRoot, 1)
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("expected the connection to be closed")
	}
	if found := len(opened); found != 1 {
		t.Errorf("expected one connection, found %d", found)
	}
}
