package controllers

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// scrapeTimeout bounds what a scrape waits for the cache.
const scrapeTimeout = 10 * time.Second

func sourceDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("assay_modulesource_"+name, help, append([]string{"namespace", "name"}, labels...), nil)
}

var (
	conditionDesc = sourceDesc("condition",
		"Conditions of ModuleSources, with their reason; 1 for the status that a condition has.", "type", "status", "reason")
	transitionDesc = sourceDesc("condition_last_transition_timestamp_seconds",
		"Time at which the status of the condition Verified or Ready of a ModuleSource last changed.", "type")
	infoDesc = sourceDesc("info",
		"What a ModuleSource names, the newest revision seen there, and the one that is published, empty for none; always 1.", "url", "observed", "published")
	suspendedDesc = sourceDesc("suspended",
		"Whether a ModuleSource is suspended: 1 if so, else 0.")
	intervalDesc = sourceDesc("interval_seconds",
		"The interval at which a ModuleSource asks its registry.")
	firstSeenDesc = sourceDesc("revision_first_seen_timestamp_seconds",
		"Time at which the newest revision seen was first seen; absent while none was. A registry that is frozen shows as one that grows old.")
	lastPollDesc = sourceDesc("last_successful_poll_timestamp_seconds",
		"Time of the last poll that was answered and judged, whatever the verdict; absent until the first one of this process.")
)

// sourceCollector reports from the cache at every scrape, so that no series
// outlives its object.
type sourceCollector struct {
	sources client.Reader
	elected <-chan struct{}

	mu    sync.Mutex
	polls map[types.NamespacedName]lastPoll
}

// lastPoll is of one object: another one may have its name later.
type lastPoll struct {
	uid types.UID
	at  time.Time
}

// polled notes a poll.
func (c *sourceCollector) polled(obj *v1alpha1.ModuleSource, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.polls == nil {
		c.polls = map[types.NamespacedName]lastPoll{}
	}
	c.polls[client.ObjectKeyFromObject(obj)] = lastPoll{obj.UID, at}
}

func (c *sourceCollector) forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.polls, key)
}

func (c *sourceCollector) lastPoll(obj *v1alpha1.ModuleSource) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	poll, ok := c.polls[client.ObjectKeyFromObject(obj)]
	return poll.at, ok && poll.uid == obj.UID
}

func (c *sourceCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{conditionDesc, transitionDesc, infoDesc, suspendedDesc, intervalDesc, firstSeenDesc, lastPollDesc} {
		descs <- desc
	}
}

func (c *sourceCollector) Collect(metrics chan<- prometheus.Metric) {
	select {
	case <-c.elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	var list v1alpha1.ModuleSourceList
	if err := c.sources.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		metrics <- prometheus.NewInvalidMetric(conditionDesc, err)
		return
	}
	for i := range list.Items {
		c.collect(&list.Items[i], metrics)
	}
}

// collect reports one ModuleSource, which it must not change. Labels are in the
// order of their names.
func (c *sourceCollector) collect(obj *v1alpha1.ModuleSource, metrics chan<- prometheus.Metric) {
	is := []*dto.LabelPair{label(&labelNames.name, &obj.Name), label(&labelNames.namespace, &obj.Namespace)}
	gauge := func(desc *prometheus.Desc, value float64, more ...*dto.LabelPair) {
		metrics <- &series{desc: desc, value: value, labels: slices.Concat(is, more)}
	}
	for i := range obj.Status.Conditions {
		condition := &obj.Status.Conditions[i]
		kind := label(&labelNames.kind, &condition.Type)
		gauge(conditionDesc, 1, label(&labelNames.reason, &condition.Reason), label(&labelNames.status, (*string)(&condition.Status)), kind)
		if condition.Type == v1alpha1.ConditionVerified || condition.Type == v1alpha1.ConditionReady {
			gauge(transitionDesc, float64(condition.LastTransitionTime.Unix()), kind)
		}
	}
	observed, published := "", ""
	if o := obj.Status.Observed; o != nil {
		observed = bounded(o.Revision, maxRevisionLabel)
		gauge(firstSeenDesc, float64(o.FirstSeenAt.Unix()))
	}
	if obj.Status.Artifact != nil {
		published = bounded(obj.Status.Artifact.Revision, maxRevisionLabel)
	}
	gauge(infoDesc, 1, label(&labelNames.observed, &observed), label(&labelNames.published, &published), label(&labelNames.url, &obj.Spec.URL))
	suspended := 0.0
	if obj.Spec.Suspend {
		suspended = 1
	}
	gauge(suspendedDesc, suspended)
	gauge(intervalDesc, intervalOf(obj).Seconds())
	if at, ok := c.lastPoll(obj); ok {
		gauge(lastPollDesc, float64(at.UnixMilli())/1000)
	}
}

// series is one gauge of a ModuleSource. Prometheus's own constant metrics copy
// each label of each series, which with thousands of sources is most of what a
// scrape costs: these share them with the object.
type series struct {
	desc   *prometheus.Desc
	labels []*dto.LabelPair
	value  float64
}

// Desc implements prometheus.Metric.
func (s *series) Desc() *prometheus.Desc { return s.desc }

// Write implements prometheus.Metric.
func (s *series) Write(out *dto.Metric) error {
	out.Label, out.Gauge = s.labels, &dto.Gauge{Value: &s.value}
	return nil
}

// labelNames are there once, for all series.
var labelNames = struct{ name, namespace, observed, published, reason, status, kind, url string }{
	"name", "namespace", "observed", "published", "reason", "status", "type", "url",
}

func label(name, value *string) *dto.LabelPair { return &dto.LabelPair{Name: name, Value: value} }

// maxRevisionLabel bounds a revision in a label, in bytes: a tag may have 128,
// and a digest 71. What a registry lists as tags can be longer.
const maxRevisionLabel = 200
