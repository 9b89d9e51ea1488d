package artifact

import (
	"context"
	"errors"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// Bounds of a request that is passed on.
const (
	hopDialTimeout   = 2 * time.Second
	hopHeaderTimeout = 15 * time.Second // the archive may be read before it is sent
	hopStallTimeout  = 15 * time.Second
	maxHops          = 256 // under way
	// maxClientHops is how many of them are of one address, or a few slow downloads
	// of one Pod would keep out everybody else.
	maxClientHops = 64
	maxIdleHops   = 16
	// hopPause is how long a leader that cannot be connected to is left alone, so
	// that requests fail at once while one dies that nobody answers for.
	hopPause = time.Second
	// longestRetryAfter bounds what a leader says, in seconds.
	longestRetryAfter = 600
)

// hopHeader marks a request that was passed on, and must not be again.
const hopHeader = "Assay-Hop"

// passedHeaders are those of a request that say which part of an archive is
// wanted. None says who asks.
var passedHeaders = []string{"Range", "If-None-Match", "If-Range", "Accept"}

// hops are the requests that are passed on.
type hops struct {
	once      sync.Once
	transport *http.Transport

	mu       sync.Mutex
	underWay int
	clients  map[string]int // of those, by the client's address

	failed netip.AddrPort // could not be connected to
	until  time.Time      // and is left alone until then
}

// open is the connections to leaders. There is no proxy between replicas,
// whatever the environment says, and nothing is followed or unpacked.
func (h *hops) open() *http.Transport {
	h.once.Do(func() {
		h.transport = &http.Transport{
			DialContext:            (&net.Dialer{Timeout: hopDialTimeout}).DialContext,
			ResponseHeaderTimeout:  hopHeaderTimeout,
			IdleConnTimeout:        idleTimeout / 2, // before the leader's
			MaxIdleConns:           maxIdleHops,
			MaxIdleConnsPerHost:    maxIdleHops,
			MaxConnsPerHost:        maxHops,
			MaxResponseHeaderBytes: maxHeaderBytes,
			DisableCompression:     true,
		}
	})
	return h.transport
}

func (h *hops) close() { h.open().CloseIdleConnections() }

// enter lets a request of a client begin, which calls leave at its end.
func (h *hops) enter(leader netip.AddrPort, client string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	paused := h.failed == leader && time.Now().Before(h.until)
	if paused || h.underWay >= maxHops || h.clients[client] >= maxClientHops {
		return false
	}
	if h.clients == nil {
		h.clients = map[string]int{}
	}
	h.underWay++
	h.clients[client]++
	return true
}

func (h *hops) leave(client string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.underWay--
	if h.clients[client]--; h.clients[client] == 0 {
		delete(h.clients, client)
	}
}

func (h *hops) pause(leader netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed, h.until = leader, time.Now().Add(hopPause)
}

// passOn asks the leader, and streams its answer. Nothing of the leader's answer
// is passed but its status, the bytes, and what says which they are: whoever it
// is, a whole archive that is not what its name says ends as a connection that
// breaks.
func (s *Server) passOn(w http.ResponseWriter, r *http.Request, owner Owner, hex string) {
	leader := netip.AddrPort{}
	if s.Leader != nil {
		leader = s.Leader()
	}
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr // That of a test.
	}
	if !leader.IsValid() || r.Header.Get(hopHeader) != "" || !s.hops.enter(leader, client) {
		unavailable(w, retryAfter)
		return
	}
	defer s.hops.leave(client)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, r.Method, "http://"+leader.String()+"/"+owner.archive(hex), http.NoBody)
	if err != nil {
		unavailable(w, retryAfter)
		return
	}
	for _, name := range passedHeaders {
		if values := r.Header.Values(name); len(values) > 0 {
			request.Header[name] = values
		}
	}
	request.Header.Set(hopHeader, "1")
	request.Header.Set("User-Agent", "assay-controller")
	// No client: it would follow a redirect.
	response, err := s.hops.open().RoundTrip(request)
	if err != nil {
		if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" && ctx.Err() == nil {
			s.hops.pause(leader)
		}
		unavailable(w, retryAfter)
		return
	}
	defer response.Body.Close()
	if !s.passHeader(w, r, response, hex) {
		return
	}
	s.passBody(w, r, response, hex, cancel)
}

var contentRange = regexp.MustCompile(`^bytes ([0-9]{1,19}-[0-9]{1,19}|\*)/[0-9]{1,19}$`)

// passHeader writes the header of an answer, or an error in its place. It
// reports whether a body is to follow.
func (s *Server) passHeader(w http.ResponseWriter, r *http.Request, answer *http.Response, hex string) bool {
	header := w.Header()
	size, kind, part := answer.ContentLength, answer.Header.Get("Content-Type"), answer.Header.Get("Content-Range")
	hasPart := contentRange.MatchString(part)
	switch status := answer.StatusCode; {
	case status == http.StatusOK && size > 0 && kind == archiveType,
		status == http.StatusPartialContent && size > 0 && r.Header.Get("Range") != "" && (hasPart && kind == archiveType || isParts(kind)):
		header.Set("Content-Type", kind)
		header.Set("Content-Length", strconv.FormatInt(size, 10))
		header.Set("Accept-Ranges", "bytes")
	case status == http.StatusNotModified && r.Header.Get("If-None-Match") != "":
	case status == http.StatusRequestedRangeNotSatisfiable && hasPart:
		header.Set("Content-Range", part)
		http.Error(w, "range not satisfiable", status)
		return false
	case status == http.StatusNotFound:
		http.Error(w, "not found", status)
		return false
	default:
		unavailable(w, retryAfterOf(answer))
		return false
	}
	header.Set("ETag", etagOf(hex))
	if hasPart {
		header.Set("Content-Range", part)
	}
	return true
}

// isParts reports whether a content type is that of several ranges.
func isParts(kind string) bool {
	media, params, err := mime.ParseMediaType(kind)
	return err == nil && media == "multipart/byteranges" && len(params) == 1 && params["boundary"] != ""
}

func retryAfterOf(answer *http.Response) int {
	after, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if err != nil || after < 1 || after > longestRetryAfter {
		return retryAfter
	}
	return after
}

func (s *Server) passBody(w http.ResponseWriter, r *http.Request, answer *http.Response, hex string, cancel func()) {
	whole := &wholeWriter{
		ResponseWriter: &patientWriter{w, http.NewResponseController(w)},
		want:           hex,
		damaged: func() {
			s.logf("the archive that the leader at %s sent is not sha256:%s; the download was cut", answer.Request.URL.Host, hex)
		},
	}
	whole.WriteHeader(answer.StatusCode)
	if r.Method == http.MethodHead || answer.StatusCode == http.StatusNotModified {
		return
	}
	body := &movingReader{answer.Body, time.AfterFunc(hopStallTimeout, cancel)}
	defer body.timer.Stop()
	if _, err := io.CopyBuffer(whole, body, make([]byte, 32<<10)); err != nil {
		// What was promised does not come: the client must notice.
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) logf(format string, args ...any) {
	if s.ErrorLog != nil {
		s.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

// movingReader ends a reading during which nothing comes. The time that the
// client takes is not counted.
type movingReader struct {
	io.Reader
	timer *time.Timer // ends the request
}

func (r *movingReader) Read(p []byte) (int, error) {
	r.timer.Reset(hopStallTimeout)
	defer r.timer.Stop()
	return r.Reader.Read(p)
}
