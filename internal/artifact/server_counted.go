package artifact

import "net/http"

// counted tells OnAnswer of what next answers.
func (s *Server) counted(next http.Handler) http.Handler {
	if s.OnAnswer == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &countedWriter{ResponseWriter: w, code: http.StatusOK}
		// Also where the answer ends in a panic, with which a connection is broken.
		defer func() { s.OnAnswer(c.code, c.sent) }()
		next.ServeHTTP(c, r)
	})
}

// countedWriter counts what is written through it.
type countedWriter struct {
	http.ResponseWriter
	wrote bool
	code  int
	sent  int64
}

// WriteHeader notes the first status that is not an announcement.
func (w *countedWriter) WriteHeader(code int) {
	if !w.wrote && code >= http.StatusOK {
		w.wrote, w.code = true, code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *countedWriter) Write(p []byte) (int, error) {
	w.wrote = true
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController, which sets deadlines.
func (w *countedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
