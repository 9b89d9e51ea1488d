package artifact

import (
	"bytes"
	"context"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// follower serves on loopback what it does not have, until the test ends, and
// returns the base URL.
func follower(t *testing.T, own *Store, leader netip.AddrPort) string {
	t.Helper()
	server := &Server{
		Store: own, Addr: "127.0.0.1:0", ErrorLog: log.New(io.Discard, "", 0),
		Leads: func() bool { return false }, Leader: func() netip.AddrPort { return leader },
	}
	addr, err := server.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- server.Start(ctx) }()
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	return "http://" + addr.String() + "/"
}

func addressOf(t *testing.T, base string) netip.AddrPort {
	t.Helper()
	address, err := netip.ParseAddrPort(strings.Trim(strings.TrimPrefix(base, "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// What a replica passes on is what the leader answers, whatever is on its own
// disk.
func TestFollowerAnswersAsTheLeader(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", incompressible(200<<10))))
	old, _ := publish(t, s, Owner{"modules", "old"}, layer(regular("a", "old")))
	if err := s.Withdraw(Owner{"modules", "old"}); err != nil {
		t.Fatal(err)
	}
	own := newStore(t, Options{})
	if kept, _ := publish(t, own, Owner{"modules", "old"}, layer(regular("a", "old"))); kept.Path != old.Path {
		t.Fatalf("found %s and %s", kept.Path, old.Path)
	}
	leader := start(t, s)
	base := follower(t, own, addressOf(t, leader))
	etag := `"` + published.Digest + `"`
	for name, c := range map[string]struct {
		path   string
		header http.Header
		status int
	}{
		"all of it":                 {published.Path, nil, 200},
		"a part":                    {published.Path, http.Header{"Range": {"bytes=10-1009"}}, 206},
		"two parts":                 {published.Path, http.Header{"Range": {"bytes=0-9,100-109"}}, 206},
		"a part if it is the same":  {published.Path, http.Header{"Range": {"bytes=5-"}, "If-Range": {etag}}, 206},
		"a part of another":         {published.Path, http.Header{"Range": {"bytes=5-"}, "If-Range": {`"x"`}}, 200},
		"beyond its end":            {published.Path, http.Header{"Range": {"bytes=9999999-"}}, 416},
		"what one has":              {published.Path, http.Header{"If-None-Match": {etag}}, 304},
		"what is withdrawn":         {old.Path, nil, 404},
		"what there never was":      {owner.archive(strings.Repeat("0", 64)), nil, 404},
		"what is no archive's path": {"modulesource", nil, 404},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(method+" "+name, func(t *testing.T) {
				direct, want := ask(t, method, leader+c.path, c.header)
				passed, found := ask(t, method, base+c.path, c.header)
				if passed.StatusCode != c.status || direct.StatusCode != c.status {
					t.Fatalf("expected %d, found %s, and from the leader %s", c.status, passed.Status, direct.Status)
				}
				for _, kept := range []*http.Response{direct, passed} {
					kept.Header.Del("Date")
					if kind := kept.Header.Get("Content-Type"); isParts(kind) {
						kept.Header.Set("Content-Type", "parts") // The boundary is drawn by lot.
					}
				}
				if c.status >= 400 {
					// The text is each replica's own.
					for _, kept := range []*http.Response{direct, passed} {
						kept.Header.Del("Content-Length")
						kept.Header.Del("Cache-Control")
					}
				}
				if diff := cmp.Diff(direct.Header, passed.Header); diff != "" {
					t.Errorf("header (-leader +passed on):\n%s", diff)
				}
				if c.status < 400 && name != "two parts" && !bytes.Equal(want, found) || name == "two parts" && len(want) != len(found) {
					t.Errorf("expected %d bytes, found %d or others", len(want), len(found))
				}
			})
		}
	}
}

// Nothing of a request is passed on but what says which bytes are wanted, and
// nothing but an archive's path is.
func TestWhatIsPassedOn(t *testing.T) {
	var asked atomic.Pointer[http.Request]
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r)
		http.NotFound(w, r)
	}))
	defer leader.Close()
	base := follower(t, newStore(t, Options{}), addressOf(t, leader.URL))
	path := owner.archive(strings.Repeat("1", 64))
	header := http.Header{
		"Range": {"bytes=0-1"}, "If-None-Match": {`"x"`}, "If-Range": {`"y"`}, "Accept": {"*/*"},
		"Authorization": {"Bearer secret"}, "Cookie": {"a=b"}, "X-Forwarded-For": {"10.0.0.1"}, "User-Agent": {"who"}, "If-Match": {`"z"`},
	}
	ask(t, "GET", base+path+"?x=y", header)
	r := asked.Swap(nil)
	if r == nil {
		t.Fatal("nothing was passed on")
	}
	want := http.Header{
		"Range": header["Range"], "If-None-Match": header["If-None-Match"], "If-Range": header["If-Range"], "Accept": header["Accept"],
		hopHeader: {"1"}, "User-Agent": {"assay-controller"},
	}
	if diff := cmp.Diff(want, r.Header); diff != "" {
		t.Errorf("header (-expected +passed on):\n%s", diff)
	}
	if r.RequestURI != "/"+path {
		t.Errorf("expected /%s, found %s", path, r.RequestURI)
	}
	if (&hops{}).open().Proxy != nil {
		t.Error("expected no proxy between replicas")
	}
	for name, request := range map[string][2]string{
		"another path":   {"GET", "metrics"},
		"signatures":     {"GET", owner.signatures(strings.Repeat("1", 64))},
		"another method": {"PUT", path},
	} {
		if ask(t, request[0], base+request[1], nil); asked.Load() != nil {
			t.Errorf("%s was passed on", name)
		}
	}
}

func TestFollowerHasNobodyToAsk(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", "1")))
	leader := addressOf(t, start(t, s))
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, c := range map[string]struct {
		leader netip.AddrPort
		header http.Header
	}{
		"no leader is known":             {netip.AddrPort{}, nil},
		"the leader is gone":             {addressOf(t, gone.URL), nil},
		"the request was passed on once": {leader, http.Header{hopHeader: {"1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			base := follower(t, s, c.leader)
			for range 3 {
				response, _ := ask(t, "GET", base+published.Path, c.header)
				if response.StatusCode != 503 || response.Header.Get("Retry-After") != strconv.Itoa(retryAfter) {
					t.Errorf("expected 503 and when to ask again, found %s, %q", response.Status, response.Header.Get("Retry-After"))
				}
			}
		})
	}
}

// Two replicas that each take the other for the leader ask once.
func TestFollowersInACircle(t *testing.T) {
	var first, second atomic.Pointer[netip.AddrPort]
	s := newStore(t, Options{})
	a := &Server{Store: s, Leads: func() bool { return false }, Leader: func() netip.AddrPort { return *second.Load() }}
	b := &Server{Store: s, Leads: a.Leads, Leader: func() netip.AddrPort { return *first.Load() }}
	var asked atomic.Int64
	count := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); h.ServeHTTP(w, r) })
	}
	serverA, serverB := httptest.NewServer(count(a.Handler())), httptest.NewServer(count(b.Handler()))
	defer serverA.Close()
	defer serverB.Close()
	addressA, addressB := addressOf(t, serverA.URL), addressOf(t, serverB.URL)
	first.Store(&addressA)
	second.Store(&addressB)
	if response, _ := ask(t, "GET", serverA.URL+"/"+owner.archive(strings.Repeat("1", 64)), nil); response.StatusCode != 503 || asked.Load() != 2 {
		t.Errorf("expected 503 after two requests, found %s after %d", response.Status, asked.Load())
	}
	a.hops.close()
	b.hops.close()
}

// A leader that is none, or whose answer changes on its way, gives nobody
// anything.
func TestFollowerTrustsNoAnswer(t *testing.T) {
	s := newStore(t, Options{})
	published, file := publish(t, s, owner, layer(regular("a", incompressible(100<<10))))
	archive, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(archive)
	other[len(other)/2] ^= 1
	answer := func(status int, header http.Header, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", archiveType)
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			for name, values := range header {
				w.Header()[name] = values
			}
			w.WriteHeader(status)
			_, _ = w.Write(body)
		}
	}
	for name, c := range map[string]struct {
		leader http.HandlerFunc
		ask    http.Header
		status int // 0: the connection breaks
		after  string
	}{
		"the archive":                  {answer(200, http.Header{"Set-Cookie": {"a=b"}, "X-Other": {"x"}}, archive), nil, 200, ""},
		"another of the same length":   {answer(200, nil, other), nil, 0, ""},
		"a shorter one":                {answer(200, nil, archive[:1000]), nil, 0, ""},
		"less than it promised":        {answer(200, http.Header{"Content-Length": {strconv.Itoa(len(archive))}}, archive[:1000]), nil, 0, ""},
		"nothing":                      {answer(200, nil, nil), nil, 503, "5"},
		"no length":                    {answer(200, http.Header{"Content-Length": nil, "Transfer-Encoding": {"chunked"}}, archive), nil, 503, "5"},
		"another type":                 {answer(200, http.Header{"Content-Type": {"text/html"}}, archive), nil, 503, "5"},
		"elsewhere":                    {answer(307, http.Header{"Location": {"http://127.0.0.1:1/"}}, nil), nil, 503, "5"},
		"a part that nobody asked for": {answer(206, http.Header{"Content-Range": {"bytes 0-9/100"}}, archive[:10]), nil, 503, "5"},
		"a part without a place":       {answer(206, nil, archive[:10]), http.Header{"Range": {"bytes=0-9"}}, 503, "5"},
		"nothing new, unasked":         {answer(304, http.Header{"Content-Length": nil}, nil), nil, 503, "5"},
		"a demand for a password":      {answer(401, http.Header{"Www-Authenticate": {"Basic"}}, nil), nil, 503, "5"},
		"an error":                     {answer(500, nil, []byte("text")), nil, 503, "5"},
		"when to ask again":            {answer(503, http.Header{"Retry-After": {"30"}}, nil), nil, 503, "30"},
		"to ask again never":           {answer(503, http.Header{"Retry-After": {"99999999"}}, nil), nil, 503, "5"},
		"to ask again at once":         {answer(503, http.Header{"Retry-After": {"-1"}}, nil), nil, 503, "5"},
		"headers without end":          {answer(200, http.Header{"X-Long": {strings.Repeat("x", 2*maxHeaderBytes)}}, archive), nil, 503, "5"},
		"a break":                      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, 503, "5"},
	} {
		t.Run(name, func(t *testing.T) {
			leader := httptest.NewUnstartedServer(c.leader)
			leader.Config.ErrorLog = log.New(io.Discard, "", 0)
			leader.Start()
			defer leader.Close()
			request, err := http.NewRequestWithContext(t.Context(), "GET", follower(t, newStore(t, Options{}), addressOf(t, leader.URL))+published.Path, nil)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(request.Header, c.ask)
			response, err := http.DefaultTransport.RoundTrip(request)
			if err != nil {
				if c.status != 0 { // Of something small not even the header arrives.
					t.Fatal(err)
				}
				return
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if c.status == 0 {
				if err == nil {
					t.Errorf("expected the connection to break, found %s and %d bytes", response.Status, len(body))
				}
				return
			}
			if err != nil || response.StatusCode != c.status || response.Header.Get("Retry-After") != c.after {
				t.Errorf("expected %d, and to ask again %q, found %s, %q, %v", c.status, c.after, response.Status, response.Header.Get("Retry-After"), err)
			}
			for _, name := range []string{"Set-Cookie", "X-Other", "Location", "Www-Authenticate"} {
				if response.Header.Get(name) != "" {
					t.Errorf("%s was passed on", name)
				}
			}
			if c.status == 200 && !bytes.Equal(body, archive) {
				t.Errorf("expected the archive, found %d bytes", len(body))
			}
		})
	}
}

// hopping runs f in a bubble with a follower whose leader is at the other end
// of each pipe that dialled gets.
func hopping(t *testing.T, f func(client *pipes, s *Server, dialled chan net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		client, dialled := newPipes(), make(chan net.Conn, maxHops)
		s := &Server{
			Store: newStore(t, Options{}), Listener: client, ErrorLog: log.New(io.Discard, "", 0),
			Leads:  func() bool { return false },
			Leader: func() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:9090") },
		}
		s.hops.open().DialContext = func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			dialled <- far
			return near, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- s.Start(ctx) }()
		f(client, s, dialled)
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

func TestFollowerEndsAHopThatHangs(t *testing.T) {
	request := "GET /" + owner.archive(strings.Repeat("1", 64)) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for name, c := range map[string]struct {
		say  string
		wait time.Duration
		want string
	}{
		"before its header": {"", hopHeaderTimeout, "HTTP/1.1 503"},
		"in its body":       {"HTTP/1.1 200 OK\r\nContent-Type: application/gzip\r\nContent-Length: 9\r\n\r\nx", hopStallTimeout, ""},
	} {
		t.Run(name, func(t *testing.T) {
			hopping(t, func(client *pipes, _ *Server, dialled chan net.Conn) {
				conn := client.dial()
				defer conn.Close()
				begun := time.Now()
				go io.WriteString(conn, request)
				leader := <-dialled
				defer leader.Close()
				go func() {
					buffer := make([]byte, 4096)
					_, _ = leader.Read(buffer)
					_, _ = io.WriteString(leader, c.say)
				}()
				answer, _ := io.ReadAll(conn)
				if took := time.Since(begun); took < c.wait || took > c.wait+time.Second {
					t.Errorf("expected an end after %v, found %v", c.wait, took)
				}
				if !strings.HasPrefix(string(answer), c.want) || bytes.HasSuffix(answer, []byte("x")) && c.want != "" {
					t.Errorf("expected %q, found %q", c.want, answer)
				}
			})
		})
	}
}

func TestFollowerBoundsItsHops(t *testing.T) {
	hopping(t, func(client *pipes, s *Server, dialled chan net.Conn) {
		s.hops.underWay = maxHops
		conn := client.dial()
		defer conn.Close()
		go io.WriteString(conn, "GET /"+owner.archive(strings.Repeat("1", 64))+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		answer, _ := io.ReadAll(conn)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 503") || len(dialled) > 0 {
			t.Errorf("expected 503 and no connection, found %q and %d", answer, len(dialled))
		}
		if found := s.hops.underWay; found != maxHops || len(s.hops.clients) > 0 {
			t.Errorf("expected %d under way, found %d, of %v", maxHops, found, s.hops.clients)
		}
	})
}

// One client takes a part of the hops, and leaves the rest to others; what it
// has ended counts no more, and is not remembered.
func TestFollowerBoundsTheHopsOfAClient(t *testing.T) {
	h, leader := &hops{}, netip.MustParseAddrPort("192.0.2.1:9090")
	for range maxClientHops {
		if !h.enter(leader, "greedy") {
			t.Fatal("expected the first ones to begin")
		}
	}
	if h.enter(leader, "greedy") || !h.enter(leader, "modest") {
		t.Error("expected the greedy one to be kept out, and no other")
	}
	h.leave("greedy")
	if !h.enter(leader, "greedy") {
		t.Error("expected one that ended to make room")
	}
	for range maxClientHops {
		h.leave("greedy")
	}
	h.leave("modest")
	if h.underWay != 0 || len(h.clients) > 0 {
		t.Errorf("expected nothing to be left, found %d, %v", h.underWay, h.clients)
	}
}

// A leader that cannot be reached is asked once a second, by whom it may
// concern.
func TestFollowerLeavesADeadLeaderAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, dead, other := &hops{}, netip.MustParseAddrPort("192.0.2.1:9090"), netip.MustParseAddrPort("192.0.2.2:9090")
		h.pause(dead)
		if h.enter(dead, "a") || !h.enter(other, "a") {
			t.Error("expected the dead one to be left alone, and no other")
		}
		time.Sleep(hopPause)
		if !h.enter(dead, "a") {
			t.Error("expected the dead one to be asked again")
		}
	})
}

func TestServerBeforeTheFirstLook(t *testing.T) {
	s := newStore(t, Options{})
	held, _ := publish(t, s, owner, layer(regular("a", "1")))
	hex, _ := hexOf(held.Digest)
	missing := strings.Repeat("1", 64)
	for name, c := range map[string]struct {
		expected Expectation
		hex      string
		status   int
	}{
		"settled and held":      {ExpectSettled, hex, 200},
		"settled and missing":   {ExpectSettled, missing, 404},
		"published and held":    {ExpectPublished, hex, 200},
		"published and missing": {ExpectPublished, missing, 503},
		"unsettled and held":    {ExpectUnsettled, hex, 503},
		"unsettled and missing": {ExpectUnsettled, missing, 404},
		"gone and held":         {ExpectGone, hex, 404},
		"gone and missing":      {ExpectGone, missing, 404},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			server := &Server{Store: s, Expects: func(o Owner, digest string) Expectation {
				if o != owner || digest != digestOf(c.hex) {
					t.Errorf("asked for %s, %s", o, digest)
				}
				return c.expected
			}}
			server.Handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/"+owner.archive(c.hex), nil))
			if recorder.Code != c.status || (recorder.Header().Get("Retry-After") != "") != (c.status == 503) {
				t.Errorf("expected %d, found %d, and to ask again after %q", c.status, recorder.Code, recorder.Header().Get("Retry-After"))
			}
		})
	}
}
