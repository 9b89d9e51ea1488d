package controllers

import (
	"context"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// referencesIndex finds the ModuleSources that name an object.
const referencesIndex = "references"

// defaultRootReference stands for the controller's own trusted root.
const defaultRootReference = "TrustedRoot"

// trustPriority puts what concerns trust before everything else in the queue.
const trustPriority = 100

// references are the objects that a ModuleSource names, as the index has them.
func references(obj client.Object) []string {
	source, ok := obj.(*v1alpha1.ModuleSource)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	var all []string
	add := func(reference string) {
		if !seen[reference] {
			seen[reference] = true
			all = append(all, reference)
		}
	}
	if ref := source.Spec.SecretRef; ref != nil {
		add(referenceTo("Secret", ref.Name))
	}
	for _, a := range source.Spec.Verify.Authorities {
		if a.Key != nil && a.Key.SecretRef != nil {
			add(referenceTo("Secret", a.Key.SecretRef.Name))
		}
		if a.Key != nil && a.Key.ConfigMapRef != nil {
			add(referenceTo("ConfigMap", a.Key.ConfigMapRef.Name))
		}
		if a.TrustedRootRef != nil {
			add(referenceTo(a.TrustedRootRef.Kind, a.TrustedRootRef.Name))
		}
	}
	if usesDefaultRoot(source) {
		add(defaultRootReference)
	}
	return all
}

func referenceTo(kind, name string) string { return kind + "/" + name }

// watchReferences makes the controller look again at every ModuleSource that
// names a Secret or ConfigMap as soon as that changes. Only metadata is watched:
// the content is read when it is needed, and not kept.
func (r *ModuleSourceReconciler) watchReferences(b *builder.Builder) {
	b.WatchesMetadata(&corev1.Secret{}, r.concerned("Secret"), builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WatchesMetadata(&corev1.ConfigMap{}, r.concerned("ConfigMap"), builder.WithPredicates(predicate.ResourceVersionChangedPredicate{}))
}

// concerned enqueues the ModuleSources that name an object of a kind, before
// all that is only polled.
func (r *ModuleSourceReconciler) concerned(kind string) handler.EventHandler {
	enqueue := func(ctx context.Context, obj client.Object, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
		r.enqueue(ctx, q, referenceTo(kind, obj.GetName()), client.InNamespace(obj.GetNamespace()))
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			if e.IsInInitialList {
				return // Every ModuleSource is looked at anyway.
			}
			enqueue(ctx, e.Object, q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			enqueue(ctx, e.ObjectNew, q)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			enqueue(ctx, e.Object, q)
		},
	}
}

// judgedByDefaultRoot enqueues the ModuleSources that are to be judged again
// when the controller's trusted root changes.
func (r *ModuleSourceReconciler) judgedByDefaultRoot() handler.EventHandler {
	return handler.Funcs{GenericFunc: func(ctx context.Context, _ event.GenericEvent, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
		r.enqueue(ctx, q, defaultRootReference)
	}}
}

// enqueue adds the ModuleSources with a reference to the queue, before others.
func (r *ModuleSourceReconciler) enqueue(ctx context.Context, q workqueue.TypedRateLimitingInterface[ctrl.Request], reference string, in ...client.ListOption) {
	var list v1alpha1.ModuleSourceList
	if err := r.Client.List(ctx, &list, append(in, client.MatchingFields{referencesIndex: reference}, client.UnsafeDisableDeepCopy)...); err != nil {
		logr.FromContextOrDiscard(ctx).Error(err, "finding the ModuleSources that a change of trust concerns: each is judged again at its next poll", "reference", reference)
		return
	}
	for i := range list.Items {
		request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])}
		r.waiting.tell(request.NamespacedName)
		if prioritised, ok := q.(priorityqueue.PriorityQueue[ctrl.Request]); ok {
			prioritised.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(trustPriority)}, request)
		} else {
			q.Add(request)
		}
	}
}

// withoutDetails drops what the controller does not need of an object whose
// metadata it watches: annotations may be as large as the object.
func withoutDetails(obj any) (any, error) {
	if accessor, err := meta.Accessor(obj); err == nil {
		accessor.SetAnnotations(nil)
		accessor.SetLabels(nil)
		accessor.SetManagedFields(nil)
		accessor.SetOwnerReferences(nil)
		accessor.SetFinalizers(nil)
	}
	return obj, nil
}

// watchedMetadata is how Secrets and ConfigMaps are cached.
func watchedMetadata() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&corev1.Secret{}:    {Transform: withoutDetails},
		&corev1.ConfigMap{}: {Transform: withoutDetails},
	}
}
