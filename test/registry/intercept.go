package registry

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"time"
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

// Trickle lets the registry answer, and sends the body of it a byte at a time
// with a pause before each, until the client gives up or it is all sent.
func Trickle(pause time.Duration) Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for _, b := range answer.Body.Bytes() {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
			if _, err := w.Write([]byte{b}); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
		}
	}
}

// Endless answers status and header, and a body of filler without end, after
// begin.
func Endless(status int, header http.Header, begin, filler []byte) Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		Respond(status, header, begin)(w, r, next)
		filler := bytes.Repeat(filler, 1+(32<<10)/len(filler))
		for r.Context().Err() == nil {
			if _, err := w.Write(filler); err != nil {
				return
			}
		}
	}
}

// Raw answers these bytes, whether they are HTTP or not, and breaks the
// connection.
func Raw(answer []byte) Interceptor {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = connection.Write(answer)
		_ = connection.Close()
	}
}
