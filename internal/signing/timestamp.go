package signing

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"net/http"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/assay-dev/assay/internal/verify"
)

// maxTimestampBytes bounds a timestamp, as those who verify do; 1 to 6 KiB are
// usual.
const maxTimestampBytes = 16 << 10

// stamp is an authority's response, and the time that it says.
type stamp struct {
	response []byte
	at       time.Time
}

// stampBy has a signature timestamped (RFC 3161, section 3.4).
func stampBy(ctx context.Context, o Options, url string, signed []byte) (stamp, error) {
	s := service{what: "the timestamp authority", url: url, userAgent: o.UserAgent}
	digest := sha256.Sum256(signed)
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return stamp{}, err
	}
	asked := &timestamp.Request{
		HashAlgorithm: crypto.SHA256, HashedMessage: digest[:], Nonce: nonce,
		// Cosign v2 knows the authority's certificate only from the response.
		Certificates: o.Format == verify.FormatCosign,
	}
	body, err := asked.Marshal()
	if err != nil {
		return stamp{}, err
	}
	a, err := s.ask(ctx, request{
		method: http.MethodPost, body: body, statuses: []int{http.StatusOK, http.StatusCreated},
		header: map[string]string{"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"},
	})
	if err != nil {
		return stamp{}, err
	}
	return readStamp(s, a.body, asked)
}

// readStamp reads a response, and holds it against what was asked for. The
// library panics at some that are none.
func readStamp(s service, response []byte, asked *timestamp.Request) (made stamp, err error) {
	notOne := s.problem("expected a timestamp of the signature, found something else")
	defer func() {
		if recover() != nil {
			made, err = stamp{}, notOne
		}
	}()
	if len(response) > maxTimestampBytes {
		return stamp{}, s.problem("expected a timestamp of at most %d bytes, found %d", maxTimestampBytes, len(response))
	}
	t, err := timestamp.ParseResponse(response)
	if err != nil {
		return stamp{}, notOne
	}
	if t.HashAlgorithm != crypto.SHA256 || !bytes.Equal(t.HashedMessage, asked.HashedMessage) || t.Nonce == nil || t.Nonce.Cmp(asked.Nonce) != 0 {
		return stamp{}, s.problem("expected a timestamp of the signature, found one of something else")
	}
	return stamp{response: response, at: t.Time.UTC()}, nil
}
