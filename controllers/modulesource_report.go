package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers/evidence"
)

// reportTimeout bounds the patch: the attempt's own deadline may have passed.
const reportTimeout = 30 * time.Second

// errReplaced says that the object is not this controller's to report on any
// more.
var errReplaced = errors.New("the name belongs to another object, or the object to another controller")

// report patches the status where it changed, once, and then tells people
// about a transition. On a conflict the same outcome is reported again; the
// work is not repeated. A controller that stops reports what it has done, but
// not on a conflict: it may have lost its Lease, and the other be a successor
// who knows better.
func (r *ModuleSourceReconciler) report(attempt context.Context, obj *v1alpha1.ModuleSource, o outcome) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(attempt), reportTimeout)
	defer cancel()
	var before, after *v1alpha1.ModuleSource
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if before != nil {
			if errors.Is(attempt.Err(), context.Canceled) {
				return errReplaced
			}
			before = &v1alpha1.ModuleSource{}
			if err := r.Live.Get(ctx, client.ObjectKeyFromObject(obj), before); err != nil {
				return err
			}
			if before.UID != obj.UID {
				return errReplaced
			}
		} else {
			before = obj
		}
		after = before.DeepCopy()
		// What was looked at, with the status that is there now.
		looked := obj.DeepCopy()
		looked.Status = before.Status
		after.Status = nextStatus(looked, o, r.BaseURL, r.Now())
		if apiequality.Semantic.DeepEqual(before.Status, after.Status) {
			return nil
		}
		r.reported.note(after)
		return r.Client.Status().Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	if apierrors.IsNotFound(err) || errors.Is(err, errReplaced) {
		return nil // Deleted meanwhile, and perhaps made anew, or taken over.
	}
	if err != nil {
		return fmt.Errorf("patching the status: %w", err)
	}
	r.schedule.wrote(after)
	r.Metrics.published(before, after, o, r.Now())
	r.announce(ctx, before, after)
	return nil
}

// announce writes one event and one line of log for a transition.
func (r *ModuleSourceReconciler) announce(ctx context.Context, before, after *v1alpha1.ModuleSource) {
	t, ok := transition(&before.Status, &after.Status)
	if !ok {
		return
	}
	digest := ""
	if after.Status.Observed != nil {
		digest = after.Status.Observed.Digest
	}
	logr.FromContextOrDiscard(ctx).Info(t.message, "reason", t.reason, "digest", digest, "type", t.kind)
	r.Events.Eventf(after, nil, t.kind, t.reason, "Verify", "%s", bounded(t.message, maxNote))
}

type change struct{ kind, reason, message string }

// transition tells what changed between two statuses that a person would want
// to hear of.
func transition(before, after *v1alpha1.ModuleSourceStatus) (change, bool) {
	was, is := apimeta.FindStatusCondition(before.Conditions, v1alpha1.ConditionReady), apimeta.FindStatusCondition(after.Conditions, v1alpha1.ConditionReady)
	stored := apimeta.FindStatusCondition(after.Conditions, v1alpha1.ConditionArtifactInStorage)
	switch {
	case before.Artifact != nil && after.Artifact == nil:
		return change{corev1.EventTypeWarning, stored.Reason, fmt.Sprintf("%s: %s", before.Artifact.Revision, stored.Message)}, true
	case is.Status == metav1.ConditionTrue && (was == nil || was.Status != is.Status || publishedOrRejudged(before, after)):
		return change{corev1.EventTypeNormal, is.Reason, fmt.Sprintf("published %s: %s", after.Artifact.Revision, evidence.Long(after.Verification))}, true
	case is.Status == metav1.ConditionTrue, is.Reason == v1alpha1.ReasonProgressing:
		return change{}, false
	case was != nil && was.Status == is.Status && was.Reason == is.Reason && sameDigest(before, after):
		return change{}, false
	case is.Reason == v1alpha1.ReasonAwaitingSignature:
		return change{corev1.EventTypeNormal, is.Reason, is.Message}, true
	default:
		return change{corev1.EventTypeWarning, is.Reason, is.Message}, true
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
