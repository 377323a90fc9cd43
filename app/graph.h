/*
 * A small or large picture of how a machine's figures went lately: areas upon one another, newest at the right.
 */
#pragma once

#include <gtk/gtk.h>

#include "machine.h"

G_BEGIN_DECLS

enum oriel_graph_kind {
	ORIEL_GRAPH_PROCESSOR,
	ORIEL_GRAPH_MEMORY,
	ORIEL_GRAPH_DISK,
	ORIEL_GRAPH_NETWORK,
	ORIEL_GRAPH_KINDS,
};

#define ORIEL_TYPE_GRAPH (oriel_graph_get_type())
G_DECLARE_FINAL_TYPE(OrielGraph, oriel_graph, ORIEL, GRAPH, GtkDrawingArea)

/*
 * With detailed it has a title, a legend and the newest figures; without it is a small one whose figures are its tooltip
 * and accessible description. It draws itself anew only where that makes a difference, and not at all while unseen.
 */
GtkWidget *oriel_graph_new(OrielFigures *figures, enum oriel_graph_kind kind, gboolean detailed);
/* Top of the scale (cores, or bytes of RAM, or bytes a second); 0, as at first: the graph finds its own. */
void oriel_graph_set_top(OrielGraph *graph, gdouble top);

/* One of each kind for a machine, side by side, or below each other if they are detailed; scaled to what it has. */
GtkWidget *oriel_graphs_new(OrielMachine *machine, gboolean detailed);

G_END_DECLS
