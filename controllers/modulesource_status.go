package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers/evidence"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
)

const (
	// maxMessage bounds a condition's message, in bytes.
	maxMessage = 2048
	// maxNote bounds an event's note, in bytes: the API server refuses longer
	// ones, and the event would be lost.
	maxNote = 1024
)

// nextStatus derives the status from the one before and an outcome. It is
// pure, and never reads a condition to decide about another one.
func nextStatus(obj *v1alpha1.ModuleSource, o outcome, baseURL string, now time.Time) v1alpha1.ModuleSourceStatus {
	before := &obj.Status
	s := *before.DeepCopy()
	at := metav1.NewTime(now.Truncate(time.Second))

	s.ObservedGeneration = obj.Generation
	if o.polled || o.err != nil || obj.Spec.Suspend {
		s.LastHandledReconcileAt = requestedAt(obj)
	}
	s.Observed = observed(before, o, at)
	s.TrustGoneSince = trustGoneSince(before, o)
	setArtifact(&s, o, baseURL, at)
	setReleases(&s, obj, o)

	c := conditions{generation: obj.Generation, at: at, list: &s.Conditions}
	c.verified(obj, &s, o)
	c.fetchFailed(o)
	c.artifactInStorage(&s, o)
	c.stalled(&s, o)
	c.reconciling(obj, &s, o)
	c.ready(&s, o)
	return s
}

// observed is the newest revision seen, and the policy of its verdict.
func observed(before *v1alpha1.ModuleSourceStatus, o outcome, at metav1.Time) *v1alpha1.ObservedRevision {
	if o.sync.Revision == (registry.Revision{}) {
		if before.Observed == nil {
			return nil
		}
		kept := *before.Observed
		switch {
		case o.unjudgeable():
			kept.PolicyHash = "" // Verified does not report that verdict any more.
		case before.Artifact.HasRevision(kept.Revision) && o.judgedPublished(before.Verification):
			kept.PolicyHash = o.policyHash
		case kept.PolicyHash != o.policyHash:
			kept.PolicyHash = ""
		}
		return &kept
	}
	seen := &v1alpha1.ObservedRevision{
		Revision: o.sync.Revision.String(), Version: o.sync.Revision.Version, Digest: o.sync.Revision.Digest,
		FirstSeenAt: seenAt(before.Observed, o.sync.Revision.String(), at),
	}
	if b := before.Observed; b != nil && b.Revision == seen.Revision && b.PolicyHash == o.policyHash {
		seen.PolicyHash = o.policyHash
	}
	if o.sync.Unchanged || judged(o.sync, o.err) {
		seen.PolicyHash = o.policyHash
	}
	return seen
}

// trustGoneSince is since when something that spec.verify names is gone.
func trustGoneSince(before *v1alpha1.ModuleSourceStatus, o outcome) *metav1.Time {
	if o.goneUnknown {
		return before.TrustGoneSince
	}
	return evidence.TimeOf(o.goneSince)
}

// unjudgeable reports whether spec.verify, or what it names, cannot be used.
func (o outcome) unjudgeable() bool {
	return o.err != nil && o.err.Kind != source.Refused && (o.policyHash == "" || o.err.Kind == source.Invalid)
}

// judgedPublished reports whether there is a verdict on the published revision
// under the policy of now, for better or worse: of this time, or its evidence.
func (o outcome) judgedPublished(evidence *v1alpha1.Verification) bool {
	return o.withdrawn != nil || !o.rejudged.IsZero() || (evidence != nil && evidence.PolicyHash == o.policyHash)
}

// setArtifact sets what is published, its evidence and the history.
func setArtifact(s *v1alpha1.ModuleSourceStatus, o outcome, baseURL string, at metav1.Time) {
	switch {
	case o.sync.Published != (artifact.Published{}):
		publish(s, o.sync, o.policyHash, baseURL, at)
		return
	case o.withdrawn != nil:
		s.Artifact, s.Verification = nil, nil
		return
	case o.rebuilt.Published != (artifact.Published{}):
		publish(s, o.rebuilt, o.policyHash, baseURL, at)
		return
	case !o.rejudged.IsZero():
		s.Verification = evidence.Of(o.rejudged, at)
	}
	if s.Artifact != nil {
		// The address may have changed with a flag.
		s.Artifact.URL = artifactURL(baseURL, s.Artifact.Path)
	}
}

func publish(s *v1alpha1.ModuleSourceStatus, o source.Outcome, policyHash, baseURL string, at metav1.Time) {
	revision, size := o.Revision.String(), o.Published.Size
	published := &meta.Artifact{
		Path: o.Published.Path, URL: artifactURL(baseURL, o.Published.Path), Revision: revision,
		Digest: o.Published.Digest, LastUpdateTime: at, Size: &size, Metadata: o.Annotations,
	}
	if before := s.Artifact; before.HasRevision(revision) && before.HasDigest(published.Digest) {
		published.LastUpdateTime = before.LastUpdateTime
	}
	s.Artifact = published
	if v := s.Verification; v == nil || v.PolicyHash != policyHash || v.Digest != o.Verified.Digest() {
		s.Verification = evidence.Of(o.Verified, at)
	}
	entry := v1alpha1.VerifiedRevision{Revision: revision, ArtifactDigest: published.Digest, VerifiedAt: at}
	if len(s.History) > 0 && s.History[0].Revision == revision {
		return
	}
	s.History = slices.Insert(s.History, 0, entry)
	s.History = s.History[:min(len(s.History), v1alpha1.HistoryLimit)]
}

func artifactURL(baseURL, path string) string { return baseURL + "/" + path }

// conditions sets conditions. A condition whose status, reason and message
// stay as they are is left alone but for its generation.
type conditions struct {
	generation int64
	at         metav1.Time
	list       *[]metav1.Condition
}

func (c conditions) set(kind string, status metav1.ConditionStatus, reason, message string) {
	apimeta.SetStatusCondition(c.list, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: bounded(message, maxMessage), ObservedGeneration: c.generation, LastTransitionTime: c.at,
	})
}

func (c conditions) remove(kind string) { apimeta.RemoveStatusCondition(c.list, kind) }

// keep leaves a condition that still holds as it is, for this generation.
func (c conditions) keep(kind string) {
	if found := apimeta.FindStatusCondition(*c.list, kind); found != nil {
		found.ObservedGeneration = c.generation
	}
}

// bounded cuts a text to at most that many bytes.
func bounded(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-3], "") + "..."
}

// verified is the verdict on what is observed.
func (c conditions) verified(obj *v1alpha1.ModuleSource, s *v1alpha1.ModuleSourceStatus, o outcome) {
	publishedIsObserved := s.Observed != nil && s.Artifact.HasRevision(s.Observed.Revision)
	pinnedElsewhere := s.Observed != nil && obj.Spec.Digest != "" && obj.Spec.Digest != s.Observed.Digest
	withdrawnIsObserved := s.Observed != nil && o.withdrawn != nil && obj.Status.Artifact.HasRevision(s.Observed.Revision)
	switch {
	case o.unjudgeable():
		c.set(v1alpha1.ConditionVerified, metav1.ConditionUnknown, o.err.Reason, o.err.Message)
	case o.err != nil && o.err.Kind == source.Refused:
		c.set(v1alpha1.ConditionVerified, metav1.ConditionFalse, o.err.Reason, o.err.Message)
	case !o.sync.Verified.IsZero():
		c.set(v1alpha1.ConditionVerified, metav1.ConditionTrue, v1alpha1.ReasonSignatureVerified, evidence.Short(evidence.Of(o.sync.Verified, c.at))+o.exceptions())
	case publishedIsObserved && !pinnedElsewhere && s.Observed.PolicyHash == o.policyHash:
		c.set(v1alpha1.ConditionVerified, metav1.ConditionTrue, v1alpha1.ReasonSignatureVerified, evidence.Short(s.Verification)+o.exceptions())
	case withdrawnIsObserved:
		c.set(v1alpha1.ConditionVerified, metav1.ConditionFalse, o.withdrawn.Reason, o.withdrawn.Message)
	case s.Observed != nil && s.Observed.PolicyHash == o.policyHash:
		c.keep(v1alpha1.ConditionVerified) // Judged before, under the same policy.
	case o.err != nil:
		c.set(v1alpha1.ConditionVerified, metav1.ConditionUnknown, o.err.Reason, o.err.Message)
	default:
		c.set(v1alpha1.ConditionVerified, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "not looked at: suspended")
	}
}

// exceptions names the authorities that were left out of the verdict.
func (o outcome) exceptions() string {
	if len(o.notCounted) == 0 {
		return ""
	}
	return "; not counted: " + strings.Join(o.notCounted, "; ")
}

// fetchFailed speaks of the last poll, and of the credentials for it.
func (c conditions) fetchFailed(o outcome) {
	failed := o.err != nil && (o.polled || o.err.Reason == v1alpha1.ReasonAuthenticationFailed) &&
		(o.err.Kind == source.Transient || o.err.Kind == source.Unpublishable) &&
		o.err.Reason != v1alpha1.ReasonTooManySignatures && o.err.Reason != v1alpha1.ReasonAwaitingSignature
	switch {
	case failed:
		c.set(v1alpha1.ConditionFetchFailed, metav1.ConditionTrue, o.err.Reason, o.err.Message)
	case o.polled:
		c.remove(v1alpha1.ConditionFetchFailed)
	default:
		c.keep(v1alpha1.ConditionFetchFailed)
	}
}

func (c conditions) artifactInStorage(s *v1alpha1.ModuleSourceStatus, o outcome) {
	const kind = v1alpha1.ConditionArtifactInStorage
	switch {
	case s.Artifact == nil && o.withdrawn != nil:
		c.set(kind, metav1.ConditionFalse, v1alpha1.ReasonArtifactWithdrawn, "withdrawn: "+o.withdrawn.Message)
	case s.Artifact == nil && len(s.History) > 0:
		c.keep(kind) // Withdrawn before.
	case s.Artifact == nil:
		c.set(kind, metav1.ConditionFalse, v1alpha1.ReasonNoArtifact, "nothing has been verified and published yet")
	case o.inStorage || o.sync.Published != (artifact.Published{}):
		c.set(kind, metav1.ConditionTrue, v1alpha1.ReasonArtifactPublished, fmt.Sprintf("%s is published", s.Artifact.Revision))
	default:
		c.set(kind, metav1.ConditionFalse, v1alpha1.ReasonArtifactMissing, fmt.Sprintf("%s is not in storage", s.Artifact.Revision))
	}
}

// stalled says that nothing changes until a person does something: edits the
// spec or what it names, or signs, or pushes something else.
func (c conditions) stalled(s *v1alpha1.ModuleSourceStatus, o outcome) {
	const kind = v1alpha1.ConditionStalled
	verdict := apimeta.FindStatusCondition(s.Conditions, v1alpha1.ConditionVerified)
	switch {
	case o.err != nil && o.err.Kind != source.Transient:
		c.set(kind, metav1.ConditionTrue, o.err.Reason, o.err.Message)
	case o.err == nil && verdict.Status == metav1.ConditionFalse:
		c.set(kind, metav1.ConditionTrue, verdict.Reason, verdict.Message)
	case o.err == nil && !o.polled && unpublishable(s):
		c.keep(kind)
	default:
		c.remove(kind)
	}
}

// unpublishable reports whether the last poll ended with content that cannot
// be published.
func unpublishable(s *v1alpha1.ModuleSourceStatus) bool {
	failed := apimeta.FindStatusCondition(s.Conditions, v1alpha1.ConditionFetchFailed)
	return failed != nil && (failed.Reason == v1alpha1.ReasonArtifactInvalid || failed.Reason == v1alpha1.ReasonArtifactTooLarge)
}

func (c conditions) reconciling(obj *v1alpha1.ModuleSource, s *v1alpha1.ModuleSourceStatus, o outcome) {
	const kind = v1alpha1.ConditionReconciling
	fetchFailed := apimeta.FindStatusCondition(s.Conditions, v1alpha1.ConditionFetchFailed) != nil
	switch {
	case o.err != nil && o.err.Kind == source.Transient:
		c.set(kind, metav1.ConditionTrue, v1alpha1.ReasonRetrying, "retrying: "+o.err.Message)
	case o.err == nil && !o.polled && !obj.Spec.Suspend && fetchFailed && !unpublishable(s):
		c.keep(kind) // The retry is still to come.
	default:
		c.remove(kind)
	}
}

// ready sums the other conditions up.
func (c conditions) ready(s *v1alpha1.ModuleSourceStatus, o outcome) {
	find := func(kind string) *metav1.Condition { return apimeta.FindStatusCondition(s.Conditions, kind) }
	verified, stored := find(v1alpha1.ConditionVerified), find(v1alpha1.ConditionArtifactInStorage)
	why := verified
	status := metav1.ConditionFalse
	switch {
	case find(v1alpha1.ConditionStalled) != nil:
		why = find(v1alpha1.ConditionStalled)
	case verified.Status == metav1.ConditionFalse:
	case find(v1alpha1.ConditionFetchFailed) != nil:
		why = find(v1alpha1.ConditionFetchFailed)
	case verified.Status == metav1.ConditionUnknown:
		status = metav1.ConditionUnknown
	case stored.Status != metav1.ConditionTrue || !s.Artifact.HasRevision(s.Observed.Revision):
		why = stored
	default:
		c.set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSignatureVerified, fmt.Sprintf("%s is verified and published", s.Artifact.Revision))
		return
	}
	c.set(v1alpha1.ConditionReady, status, why.Reason, why.Message)
}
