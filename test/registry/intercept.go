package registry

import (
	"io"
	"net/http"
)

// Interceptor stands in front of the registry, behind the recorder. It answers
// by itself, or calls next, or both. It runs on the goroutine of the request,
// several at a time. To break the connection without an answer, it panics with
// [http.ErrAbortHandler].
type Interceptor func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Intercept puts i in front of the registry, in the place of the interceptor
// that was there; nil takes it away. Requests that are under way keep the one
// that they have.
func (s *Server) Intercept(i Interceptor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = i
}

// Respond answers every request with status, header and body, and never asks
// the registry. The header may be nil.
func Respond(status int, header http.Header, body []byte) Interceptor {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for name, values := range header {
			w.Header()[http.CanonicalHeaderKey(name)] = values
		}
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}

// Hang is an [Interceptor] that answers nothing until the client gives up, or
// the server goes down.
func Hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	// The server notices that the client is gone only once the body is read.
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// Abort is an [Interceptor] that breaks the connection without an answer.
func Abort(http.ResponseWriter, *http.Request, http.Handler) {
	panic(http.ErrAbortHandler)
}

// On applies i to the requests of this method and kind ("GET", KindManifests)
// and lets every other pass to the registry.
func On(method, kind string, i Interceptor) Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if got, _ := route(r.URL.Path); r.Method != method || got != kind {
			next.ServeHTTP(w, r)
			return
		}
		i(w, r, next)
	}
}
