package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	eventv1 "github.com/fluxcd/pkg/apis/event/v1beta1"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers/announce"
	"github.com/assay-dev/assay/controllers/evidence"
)

// announce writes one line of log for a transition, and has people told of it.
func (r *ModuleSourceReconciler) announce(ctx context.Context, before, after *v1alpha1.ModuleSource) {
	t, ok := transition(&before.Status, &after.Status)
	if !ok {
		return
	}
	annotations := t.annotations(after)
	logr.FromContextOrDiscard(ctx).Info(t.message, "reason", t.reason, "digest", annotations[v1alpha1.EventDigest], "type", t.kind)
	r.Teller.Tell(announce.Transition{
		About: corev1.ObjectReference{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.ModuleSourceKind,
			Namespace: after.Namespace, Name: after.Name, UID: after.UID, ResourceVersion: after.ResourceVersion,
		},
		Type: t.kind, Reason: t.reason, Note: bounded(t.message, maxNote),
		Annotations: annotations, Metadata: forNotifications(after), At: metav1.NewMicroTime(r.Now()),
	})
}

// change is a transition: what a person is told, about which revision, and
// whether that was published with the evidence in status.
type change struct {
	kind, reason, message string
	revision              string
	published             bool
}

const (
	// maxSigners bounds who is named in an annotation, in bytes.
	maxSigners = 2048
	// maxMetadata and maxMetadataValue bound the annotations of an object that
	// are passed on, and each one's value in bytes.
	maxMetadata      = 32
	maxMetadataValue = 1024
)

// annotations are those of the event. Of what was not published, no signer and
// no text of the module is known.
func (c change) annotations(after *v1alpha1.ModuleSource) map[string]string {
	all := map[string]string{}
	if c.revision != "" {
		all[v1alpha1.EventRevision], all[v1alpha1.EventDigest] = c.revision, revisionOf(c.revision).Digest
	}
	if !c.published {
		return all
	}
	var signers []string
	for _, s := range after.Status.Verification.Signatures {
		signers = append(signers, evidence.Signer(s))
	}
	all[v1alpha1.EventSigner] = bounded(strings.Join(signers, " and "), maxSigners)
	if origin := after.Status.Artifact.Metadata[originAnnotation]; origin != "" && len(origin) <= maxMetadataValue {
		all[v1alpha1.EventOriginRevision] = origin
	}
	return all
}

// originAnnotation is the manifest's annotation that names the commit.
const originAnnotation = "org.opencontainers.image.revision"

// forNotifications are the object's annotations that Flux's controllers pass on:
// what its owner wants to be shown.
func forNotifications(obj *v1alpha1.ModuleSource) map[string]string {
	found := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(obj.Annotations)) {
		value := obj.Annotations[name]
		if strings.HasPrefix(name, eventv1.Group+"/") && len(value) <= maxMetadataValue && len(found) < maxMetadata {
			found[name] = value
		}
	}
	return found
}

// transition tells what changed between two statuses that a person would want
// to hear of.
func transition(before, after *v1alpha1.ModuleSourceStatus) (change, bool) {
	was, is := apimeta.FindStatusCondition(before.Conditions, v1alpha1.ConditionReady), apimeta.FindStatusCondition(after.Conditions, v1alpha1.ConditionReady)
	observed := ""
	if after.Observed != nil {
		observed = after.Observed.Revision
	}
	stored := apimeta.FindStatusCondition(after.Conditions, v1alpha1.ConditionArtifactInStorage)
	switch {
	case before.Artifact != nil && after.Artifact == nil:
		return change{corev1.EventTypeWarning, stored.Reason, fmt.Sprintf("%s: %s", before.Artifact.Revision, stored.Message), before.Artifact.Revision, false}, true
	case is.Status == metav1.ConditionTrue && (was == nil || was.Status != is.Status || publishedOrRejudged(before, after)):
		return change{corev1.EventTypeNormal, is.Reason, fmt.Sprintf("published %s: %s", after.Artifact.Revision, evidence.Long(after.Verification)), after.Artifact.Revision, true}, true
	case is.Status == metav1.ConditionTrue, is.Reason == v1alpha1.ReasonProgressing:
		return change{}, false
	case was != nil && was.Status == is.Status && was.Reason == is.Reason && sameDigest(before, after):
		return change{}, false
	case is.Reason == v1alpha1.ReasonAwaitingSignature:
		return change{corev1.EventTypeNormal, is.Reason, is.Message, observed, false}, true
	default:
		return change{corev1.EventTypeWarning, is.Reason, is.Message, observed, false}, true
	}
}

func publishedOrRejudged(before, after *v1alpha1.ModuleSourceStatus) bool {
	return before.Artifact == nil || before.Verification == nil ||
		before.Artifact.Revision != after.Artifact.Revision || before.Verification.PolicyHash != after.Verification.PolicyHash
}

func sameDigest(before, after *v1alpha1.ModuleSourceStatus) bool {
	if before.Observed == nil || after.Observed == nil {
		return before.Observed == after.Observed
	}
	return before.Observed.Digest == after.Observed.Digest
}
