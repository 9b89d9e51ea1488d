// Package evidence writes who signed, which has verified, as status has it and as
// a person reads it.
package evidence

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/verify"
)

// Of is a proof as status reports it.
func Of(v verify.Verified, at metav1.Time) *v1alpha1.Verification {
	e := &v1alpha1.Verification{Digest: v.Digest(), PolicyHash: v.PolicyHash(), VerifiedAt: at}
	for _, s := range v.Signers() {
		accepted := v1alpha1.AcceptedSignature{
			Authority: s.Authority, Format: string(s.Format), KeyFingerprint: s.KeyFingerprint,
			Issuer: s.Issuer, Subject: s.Subject, SignedTimestamp: TimeOf(s.SignedTimestamp),
		}
		for _, x := range s.Extensions {
			accepted.Extensions = append(accepted.Extensions, v1alpha1.SignerExtension{Name: x.Name, Value: x.Value})
		}
		if log := s.Log; log != nil {
			accepted.TransparencyLog = &v1alpha1.TransparencyLogEntry{
				LogID: log.LogID, URL: log.URL, Index: log.Index, IntegratedTime: TimeOf(log.IntegratedTime),
			}
		}
		e.Signatures = append(e.Signatures, accepted)
	}
	return e
}

// Signers are the signers in evidence that status holds, as they were verified.
func Signers(e *v1alpha1.Verification) []verify.Signer {
	var signers []verify.Signer
	for _, a := range e.Signatures {
		s := verify.Signer{
			Authority: a.Authority, Format: verify.Format(a.Format), KeyFingerprint: a.KeyFingerprint,
			Issuer: a.Issuer, Subject: a.Subject, SignedTimestamp: asTime(a.SignedTimestamp),
		}
		for _, x := range a.Extensions {
			s.Extensions = append(s.Extensions, verify.Extension{Name: x.Name, Value: x.Value})
		}
		if log := a.TransparencyLog; log != nil {
			s.Log = &verify.LogEntry{LogID: log.LogID, URL: log.URL, Index: log.Index, IntegratedTime: asTime(log.IntegratedTime)}
		}
		signers = append(signers, s)
	}
	return signers
}

func asTime(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// TimeOf is a time as the API has it, in whole seconds; nil for none.
func TimeOf(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	at := metav1.NewTime(t.Truncate(time.Second))
	return &at
}

// Short says who signed.
func Short(v *v1alpha1.Verification) string {
	by := make([]string, 0, len(v.Signatures))
	for _, s := range v.Signatures {
		by = append(by, fmt.Sprintf("%s (%s)", s.Authority, Signer(s)))
	}
	return fmt.Sprintf("%s is signed by %s", v.Digest, strings.Join(by, " and "))
}

// Signer says who made one signature.
func Signer(s v1alpha1.AcceptedSignature) string {
	if s.KeyFingerprint != "" {
		return "key " + s.KeyFingerprint
	}
	return fmt.Sprintf("issuer %q, subject %q", s.Issuer, s.Subject)
}

// Long says who signed, in which format, where and when it is
// recorded, and last, because an event is cut there, what else the certificates
// say.
func Long(v *v1alpha1.Verification) string {
	by := make([]string, 0, len(v.Signatures))
	var says []string
	for _, s := range v.Signatures {
		parts := []string{s.Format, Signer(s)}
		if log := s.TransparencyLog; log != nil {
			parts = append(parts, Log(log))
		}
		if s.SignedTimestamp != nil {
			parts = append(parts, "timestamp "+s.SignedTimestamp.UTC().Format(time.RFC3339))
		}
		by = append(by, fmt.Sprintf("%s (%s)", s.Authority, strings.Join(parts, ", ")))
		for _, x := range s.Extensions {
			says = append(says, fmt.Sprintf("%s=%q", x.Name, x.Value))
		}
	}
	text := fmt.Sprintf("%s is signed by %s", v.Digest, strings.Join(by, " and "))
	if len(says) > 0 {
		text += "; " + strings.Join(says, " ")
	}
	return text
}

// Log says where and when a signature is recorded.
func Log(log *v1alpha1.TransparencyLogEntry) string {
	where := log.URL
	if where == "" {
		where = log.LogID
	}
	if log.IntegratedTime == nil {
		return fmt.Sprintf("log %s index %d", where, log.Index)
	}
	return fmt.Sprintf("log %s index %d at %s", where, log.Index, log.IntegratedTime.UTC().Format(time.RFC3339))
}
