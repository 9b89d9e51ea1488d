package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"strconv"
)

// wholeWriter hashes a whole archive while it is sent, and does not send the
// end of one that is not what its name says. Other answers pass as they are.
type wholeWriter struct {
	http.ResponseWriter
	want    string // the hexadecimal SHA-256
	damaged func() // told before the connection breaks

	hash hash.Hash // nil: not a whole archive
	left int64     // bytes to come
}

// WriteHeader begins to hash where the answer is a whole archive.
func (w *wholeWriter) WriteHeader(status int) {
	if size, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil && status == http.StatusOK {
		w.hash, w.left = sha256.New(), size
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write panics with http.ErrAbortHandler, which net/http makes a broken
// connection of, where p is the end of an archive that is damaged.
func (w *wholeWriter) Write(p []byte) (int, error) {
	if w.hash == nil {
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.hash.Write(p) // Never fails.
	if w.left -= int64(len(p)); w.left <= 0 && hex.EncodeToString(w.hash.Sum(nil)) != w.want {
		w.damaged()
		panic(http.ErrAbortHandler)
	}
	return w.ResponseWriter.Write(p)
}
