package controllers

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
)

// releases is what status knows of the versions that spec selects from. A tag
// is mutable by its nature: nothing is held against it.
func releases(obj *v1alpha1.ModuleSource) source.Releases {
	spec, status := &obj.Spec, &obj.Status
	if spec.Tag != "" {
		return source.Releases{}
	}
	var r source.Releases
	if spec.ImmutableVersions == nil || *spec.ImmutableVersions {
		r.Verified = map[string]string{}
		for _, v := range status.VerifiedVersions {
			if v.URL == canonicalURL(spec) {
				r.Verified[v.Version] = v.Digest
			}
		}
		r.Accepted = obj.Annotations[v1alpha1.AcceptDigestAnnotation]
		if spec.Digest != "" {
			r.Accepted = spec.Digest // A pin is a person's word, too.
		}
	}
	if !spec.AllowDowngrade && status.Artifact != nil && status.Selection != nil && *status.Selection == selection(spec) {
		r.Published = revisionOf(status.Artifact.Revision).SemVer()
	}
	return r
}

// selection is the part of a spec that selects a version.
func selection(spec *v1alpha1.ModuleSourceSpec) v1alpha1.Selection {
	return v1alpha1.Selection{URL: spec.URL, Version: spec.Version, VersionFilter: spec.VersionFilter}
}

// canonicalURL is the one way to write the repository of a spec.
func canonicalURL(spec *v1alpha1.ModuleSourceSpec) string {
	repository, err := registry.ParseRepository(spec.URL, spec.Insecure)
	if err != nil {
		return spec.URL
	}
	return "oci://" + strings.ToLower(repository.String())
}

// setReleases records what a poll verified and published, or found to be that.
// What is verified and cannot be published has reached nobody: whoever corrects
// it may push it again.
func setReleases(s *v1alpha1.ModuleSourceStatus, obj *v1alpha1.ModuleSource, o outcome) {
	spec, revision := &obj.Spec, o.sync.Revision
	published := o.sync.Unchanged || o.sync.Published != (artifact.Published{})
	if version := revision.SemVer(); version != nil && spec.Tag == "" && published {
		s.VerifiedVersions = recorded(s.VerifiedVersions, v1alpha1.VerifiedVersion{
			URL: canonicalURL(spec), Version: version.String(), Digest: revision.Digest,
		})
	}
	switch {
	case s.Artifact == nil:
		s.Selection = nil
	case s.Artifact.HasRevision(revision.String()) && o.err == nil:
		selected := selection(spec)
		s.Selection = &selected
	}
}

// recorded puts a version before the others, of which the last leaves when
// there are too many.
func recorded(all []v1alpha1.VerifiedVersion, v v1alpha1.VerifiedVersion) []v1alpha1.VerifiedVersion {
	if len(all) > 0 && all[0] == v {
		return all
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(other v1alpha1.VerifiedVersion) bool {
		return other.URL == v.URL && other.Version == v.Version
	})
	all = append([]v1alpha1.VerifiedVersion{v}, rest...)
	return all[:min(len(all), v1alpha1.VerifiedVersionsLimit)]
}

// await turns the refusal of a new digest that has no signature into one that is
// still awaited: authors push first, and sign then. What was judged before under
// this policy stays as it was.
func (o *outcome) await(obj *v1alpha1.ModuleSource, now time.Time) {
	if o.err == nil || o.err.Kind != source.Refused || o.err.Reason != v1alpha1.ReasonNoSignature {
		return
	}
	revision := o.sync.Revision.String()
	if b := obj.Status.Observed; b != nil && b.Revision == revision && b.PolicyHash != "" {
		return
	}
	until := firstSeen(obj.Status.Observed, revision, now).Add(gracePeriodOf(obj))
	if !now.Before(until) {
		return
	}
	o.awaitingUntil = until
	o.err = &source.Error{
		Step: o.err.Step, Kind: source.Transient, Reason: v1alpha1.ReasonAwaitingSignature,
		Message: o.err.Message + "; it is new, and has spec.verify.signatureGracePeriod to be signed",
	}
}

// firstSeen is when a revision was first seen: now, unless it is the one that is
// observed.
func firstSeen(before *v1alpha1.ObservedRevision, revision string, now time.Time) time.Time {
	if before == nil || before.Revision != revision || before.FirstSeenAt.After(now) {
		return now
	}
	return before.FirstSeenAt.Time
}

func gracePeriodOf(obj *v1alpha1.ModuleSource) time.Duration {
	if g := obj.Spec.Verify.SignatureGracePeriod; g != nil {
		return g.Duration
	}
	return v1alpha1.DefaultSignatureGracePeriod
}

// seenAt is firstSeen as status has it.
func seenAt(before *v1alpha1.ObservedRevision, revision string, at metav1.Time) metav1.Time {
	return metav1.NewTime(firstSeen(before, revision, at.Time))
}
