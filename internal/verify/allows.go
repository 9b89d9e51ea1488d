package verify

import (
	"slices"
	"time"
)

// AllowsSigners reports whether signers of a digest that were verified before,
// as their evidence names them, would still satisfy the policy by who they are:
// enough distinct ones, each by a key's fingerprint or by an identity with its
// extensions, recorded by a log of the root where the authority requires one,
// and within the authority's window by the times that the evidence has. The names
// of authorities do not count; they may have changed.
//
// It is no verdict, and makes no [Verified]: it looks at no signature, so that it
// cannot see which root issued a certificate, nor any but the earliest time. It is
// for keeping what is published where the signatures are lost. A policy that is
// zero or invalid allows nobody, for a digest that is denied or none at all no
// policy does.
func (p Policy) AllowsSigners(digest string, signers []Signer) bool {
	if p.Validate() != nil || !canonicalDigest.MatchString(digest) || p.denies(digest) || len(signers) > MaxSignatures {
		return false
	}
	satisfied := make([]map[string]Signer, len(p.Authorities))
	for i, a := range p.Authorities {
		satisfied[i] = map[string]Signer{}
		for _, s := range signers {
			if a.allows(s) {
				satisfied[i][s.id()] = s
			}
		}
	}
	return len(match(satisfied)) >= p.Threshold
}

// allows reports whether a signer may sign for the authority, as far as the
// evidence says.
func (a Authority) allows(s Signer) bool {
	if (s.Format != FormatCosign && s.Format != FormatBundle) || !a.names(s) {
		return false
	}
	if !a.needsRoot() {
		return true
	}
	times, ok := a.timesOf(s)
	return ok && a.timely(times).standing == satisfying
}

// names reports whether a signer is one of the authority's. Evidence is of a key
// or of an identity, never of both.
func (a Authority) names(s Signer) bool {
	if s.KeyFingerprint != "" {
		return s.Issuer == "" && s.Subject == "" && len(s.Extensions) == 0 && slices.Contains(a.fingerprints(), s.KeyFingerprint)
	}
	who := claims{issuer: s.Issuer, subject: s.Subject, extensions: s.Extensions}
	return slices.ContainsFunc(a.Identities, func(i Identity) bool { return i.matches(who) })
}

// timesOf are the times in the evidence that the authority looks at; not ok where
// the evidence lacks what the authority demands of every signature. A log must be
// one of the root that was in use at these times; an identity needs one.
func (a Authority) timesOf(s Signer) (times []time.Time, ok bool) {
	if !s.SignedTimestamp.IsZero() && a.Root.hasTimestamper() {
		times = append(times, s.SignedTimestamp)
	}
	if a.TransparencyLog == LogRequire {
		if s.Log == nil {
			return nil, false
		}
		if !s.Log.IntegratedTime.IsZero() {
			times = append(times, s.Log.IntegratedTime)
		}
		log, known := a.Root.logsAt(times).RekorLogs()[s.Log.LogID]
		if !known || (len(times) == 0 && !log.ValidityPeriodEnd.IsZero()) {
			return nil, false
		}
	}
	return times, len(a.Keys) > 0 || len(times) > 0
}
