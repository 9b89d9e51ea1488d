package registry

import (
	"net/http"
	"regexp"
	"slices"
	"sync"
)

// Request is one request that reached the server, whatever was answered.
type Request struct {
	Method   string
	Path     string
	RawQuery string
}

// The kinds of endpoint that a registry has, as [Request.Kind] names them.
const (
	KindPing      = "ping"      // /v2/
	KindToken     = "token"     // the token endpoint of TokenAuth
	KindManifests = "manifests" // by tag or by digest
	KindBlobs     = "blobs"
	KindUploads   = "uploads" // every step of pushing a blob
	KindTags      = "tags"
	KindReferrers = "referrers"
	KindOther     = "other"
)

// endpoint matches "/v2/<repository>/<kind>/<rest>". Repositories may have a
// component of the same name as a kind, so the last one counts, which is what
// the greedy first group does.
var endpoint = regexp.MustCompile(`^/v2/(.+)/(blobs/uploads|blobs|manifests|tags|referrers)/`)

// Kind says which endpoint the request was for: one of the Kind constants.
func (r Request) Kind() string {
	kind, _ := route(r.Path)
	return kind
}

// route takes a path apart. The repository is empty for what belongs to none.
func route(path string) (kind, repository string) {
	switch path {
	case "/v2", "/v2/":
		return KindPing, ""
	case tokenPath:
		return KindToken, ""
	}
	match := endpoint.FindStringSubmatch(path)
	if match == nil {
		return KindOther, ""
	}
	if match[2] == "blobs/uploads" {
		return KindUploads, match[1]
	}
	return match[2], match[1]
}

// requestLog is the list of requests since the last reset.
type requestLog struct {
	mu       sync.Mutex
	requests []Request
}

func (l *requestLog) add(r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, Request{Method: r.Method, Path: r.URL.Path, RawQuery: r.URL.RawQuery})
}

// Requests lists the requests since the start or the last Reset, in the order
// in which they came in. A request is on the list before it is answered, so
// whoever has an answer finds its request here.
func (s *Server) Requests() []Request {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return slices.Clone(s.log.requests)
}

// Reset forgets the requests so far.
func (s *Server) Reset() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.requests = nil
}

// Counts says how many requests there were since the start or the last Reset,
// by method and kind: "HEAD manifests", "GET blobs", "GET referrers". It is
// what budgets are held against; the sum of all is len(Requests()).
func (s *Server) Counts() map[string]int {
	counts := map[string]int{}
	for _, r := range s.Requests() {
		counts[r.Method+" "+r.Kind()]++
	}
	return counts
}
