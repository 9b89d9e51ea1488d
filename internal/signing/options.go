package signing

import (
	"context"
	"errors"
	"time"

	"github.com/assay-dev/assay/internal/verify"
)

// maxWitnesses bounds the logs and the timestamp authorities of a signature, each
// of which may be as many: those who verify look at no more.
const maxWitnesses = 8

// Options say how to sign.
type Options struct {
	// Format is verify.FormatCosign or verify.FormatBundle.
	Format verify.Format
	// Key signs; nil for a new one with a certificate, which Token is for.
	Key *Key
	// Token returns the identity token (OpenID Connect) for the certificate, with
	// the audience that the certificate authority wants: "sigstore".
	Token    func(context.Context) (string, error)
	Services Services
	// Root is what the signature is verified by before it is attached; nil for
	// none. Without one the answers of the services are held against the
	// signature, and who gave them is not known.
	Root *verify.TrustedRoot
	// UserAgent is how the services are told who asks.
	UserAgent string
	// Now is the clock.
	Now func() time.Time
}

// What cannot work, whatever the services answer.
var (
	ErrFormat      = errors.New("expected one of the two formats of signatures")
	ErrNobody      = errors.New("expected a key, or a certificate authority and an identity token")
	ErrRekor2      = errors.New("the format of Cosign v2 has no place for an entry of Rekor v2: it takes one of Rekor v1, or the bundle format")
	ErrWitnesses   = errors.New("the format of Cosign v2 has a place for one log entry and one timestamp")
	ErrTooMany     = errors.New("expected at most 8 logs and 8 timestamp authorities")
	ErrUnwitnessed = errors.New("a certificate is valid for minutes, and nobody would know later that the signature was made in them: expected a log of Rekor v1 or a timestamp authority")
	ErrHash        = errors.New("a log of Rekor v1 records signatures over SHA-256 alone, and this key signs another hash, as keys of P-384, P-521 and Ed25519 do")
	ErrVersion     = errors.New("expected version 1 or 2 of the log's API")
)

// Check refuses what cannot work, before anything is asked of anybody.
func (o Options) Check() error {
	if o.Format != verify.FormatCosign && o.Format != verify.FormatBundle {
		return ErrFormat
	}
	if o.Key == nil && (o.Services.Fulcio == "" || o.Token == nil) {
		return ErrNobody
	}
	for _, text := range o.Services.urls() {
		if err := CheckURL(text); err != nil {
			return err
		}
	}
	logs, stamps := o.Services.Logs, len(o.Services.TimestampAuthorities)
	if len(logs) > maxWitnesses || stamps > maxWitnesses {
		return ErrTooMany
	}
	timed := stamps > 0
	for _, l := range logs {
		switch {
		case l.Version != 1 && l.Version != 2:
			return ErrVersion
		case l.Version == 2 && o.Format == verify.FormatCosign:
			return ErrRekor2
		case l.Version == 1 && o.Key != nil && o.Key.hash().Size() != 32:
			return ErrHash
		}
		timed = timed || l.Version == 1
	}
	if o.Format == verify.FormatCosign && (len(logs) > 1 || stamps > 1) {
		return ErrWitnesses
	}
	if o.Key == nil && !timed {
		return ErrUnwitnessed
	}
	return nil
}
