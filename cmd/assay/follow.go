package main

import (
	"context"
	"errors"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/controllers"
)

// follow tells of the objects of a kind: of those that are there, and then of
// whatever changes.
type follow struct {
	cluster *cluster
	object  client.Object
	// ready is called once, when all that is there is known.
	ready func(context.Context, client.Reader) error
	// changed is called for each object that is there, and again whenever one
	// changes; deleted when one goes.
	changed, deleted func(client.Object)
}

// run watches until ctx ends. What the API server is not there for is made up
// for when it is back.
func (f follow) run(ctx context.Context) error {
	options := cache.Options{Scheme: controllers.NewScheme(), DefaultTransform: cache.TransformStripManagedFields()}
	if f.cluster.namespace != "" {
		options.DefaultNamespaces = map[string]cache.Config{f.cluster.namespace: {}}
	}
	c, err := cache.New(f.cluster.config, options)
	if err != nil {
		return fmt.Errorf("the API server: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	informer, err := c.GetInformer(ctx, f.object, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("the API server: %w", err)
	}
	go func() { ended <- c.Start(ctx) }()
	if !c.WaitForCacheSync(ctx) {
		return ctx.Err()
	}
	if err := f.ready(ctx, c); err != nil {
		return err
	}
	if _, err := informer.AddEventHandler(f.handler()); err != nil {
		return err
	}
	err = <-ended
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil // Interrupted, which is how it ends.
	}
	return err
}

func (f follow) handler() toolscache.ResourceEventHandlerFuncs {
	call := func(do func(client.Object), o any) {
		if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if object, ok := o.(client.Object); ok && f.cluster.isWanted(object) {
			do(object)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { call(f.changed, o) },
		UpdateFunc: func(_, o any) { call(f.changed, o) },
		DeleteFunc: func(o any) { call(f.deleted, o) },
	}
}
