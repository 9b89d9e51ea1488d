package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/controllers"
)

func newEventsCommand(t *terminal) *cobra.Command {
	var (
		flags  *clusterFlags
		output *outputFlag
	)
	c := &cobra.Command{
		Use:   "events [NAME]",
		Short: "Show what became of ModuleSources: published, refused, withdrawn, and why",
		Long: `events shows the events of ModuleSources, the latest last. A cluster keeps events
for an hour, unless it is set up otherwise.`,
		Example: `  assay events --all-namespaces
  kubectl assay events podinfo --namespace apps --watch`,
		Args: atMostOne("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			if flags.selector != "" {
				return usageError(c.CommandPath()+" NAME", "--selector: expected none for events, which have no labels of their ModuleSource, found %.200q", flags.selector)
			}
			where, err := flags.where(output, args)
			switch {
			case err != nil:
				return err
			case flags.watch:
				return watchEvents(c.Context(), t, where)
			default:
				return getEvents(c.Context(), t, where, output)
			}
		},
	}
	flags = addClusterFlags(c.Flags())
	output = addOutputFlag(c.Flags(), "json", "yaml")
	return c
}

func getEvents(ctx context.Context, t *terminal, where *cluster, output *outputFlag) error {
	kube, err := client.New(where.config, client.Options{Scheme: controllers.NewScheme()})
	if err != nil {
		return fmt.Errorf("the API server: %w", err)
	}
	events, err := where.events(ctx, kube)
	if err != nil {
		return err
	}
	list := eventsv1.EventList{Items: events}
	list.APIVersion, list.Kind = eventsv1.SchemeGroupVersion.String(), "EventList"
	return t.print(output, list, func() error {
		if len(events) == 0 {
			t.say("no event of a ModuleSource found")
			return nil
		}
		table := newTable(eventHeader...)
		for i := range events {
			table.add(eventCells(&events[i], t.now())...)
		}
		table.print(t)
		return nil
	})
}

// events are those of the wanted ModuleSources, the latest last.
func (c *cluster) events(ctx context.Context, kube client.Reader) ([]eventsv1.Event, error) {
	var list eventsv1.EventList
	if err := kube.List(ctx, &list, client.InNamespace(c.namespace)); err != nil {
		return nil, clusterProblem(err)
	}
	events := slices.DeleteFunc(list.Items, func(e eventsv1.Event) bool { return !c.concerns(&e) })
	for i := range events {
		events[i].ManagedFields = nil
	}
	slices.SortStableFunc(events, func(a, b eventsv1.Event) int { return lastSeen(&a).Compare(lastSeen(&b)) })
	return events, nil
}

func (c *cluster) concerns(e *eventsv1.Event) bool {
	return e.Regarding.Kind == "ModuleSource" && (c.name == "" || e.Regarding.Name == c.name)
}

func watchEvents(ctx context.Context, t *terminal, where *cluster) error {
	table := newTable(eventHeader...)
	printed := map[string]time.Time{}
	show := func(e *eventsv1.Event) {
		if !where.concerns(e) || !lastSeen(e).After(printed[string(e.UID)]) {
			return
		}
		printed[string(e.UID)] = lastSeen(e)
		table.add(eventCells(e, t.now())...)
	}
	all := *where
	all.name = "" // Events have names of their own.
	f := follow{cluster: &all, object: &eventsv1.Event{}, deleted: func(client.Object) {}}
	f.ready = func(ctx context.Context, kube client.Reader) error {
		events, err := where.events(ctx, kube)
		for i := range events {
			show(&events[i])
		}
		table.print(t)
		return err
	}
	f.changed = func(o client.Object) {
		show(o.(*eventsv1.Event))
		table.print(t)
	}
	return f.run(ctx)
}

var eventHeader = []string{"LAST SEEN", "TYPE", "REASON", "MODULESOURCE", "MESSAGE"}

func eventCells(e *eventsv1.Event, now time.Time) []cell {
	color := good
	if e.Type == corev1.EventTypeWarning {
		color = bad
	}
	return []cell{
		{duration.HumanDuration(now.Sub(lastSeen(e))), ""}, {e.Type, color}, {e.Reason, strong},
		{e.Regarding.Namespace + "/" + e.Regarding.Name, ""}, {e.Note, ""},
	}
}

// lastSeen is when an event happened, or happened again.
func lastSeen(e *eventsv1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.DeprecatedLastTimestamp.IsZero():
		return e.DeprecatedLastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	default:
		return e.CreationTimestamp.Time
	}
}
