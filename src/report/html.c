/* report/html.c: the page: head, sections in their order, links to those that are there. See
 * html.h.
 */
#include "report/html.h"

typedef struct section {
    const char *id, *name; /* of the link */
    tdm_status (*write)(const tdm__report *, tdm__str *);
} section;

static const section sections[] = {
    {"results", "Results", tdm__html_results},
    {"grid", "Grids and trade-offs", tdm__html_grids},
    {"details", "Comparisons", tdm__html_details},
    {"curves", "Learning curves", tdm__html_curves},
    {"matrices", "Confusion", tdm__html_matrices},
    {"examples", "Image by image", tdm__html_examples},
    {"costs", "Time and memory", tdm__html_costs},
    {"failed", "Not finished", tdm__html_failed},
    {"repeat", "To repeat it", tdm__html_repeat},
};

static void add_colours(const tdm__report *r, tdm__str *out)
{
    tdm__report_colours(r, false, out);
    tdm__str_add(out, "@media screen and (prefers-color-scheme:dark){");
    tdm__report_colours(r, true, out);
    tdm__str_add(out, "}");
}

tdm_status tdm__report_html(const tdm__report *r, tdm__str *out)
{
    tdm_status status = TDM_OK;
    tdm__str body = {0}, links = {0};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        const size_t before = body.length;
        TDM_TRY(sections[i].write(r, &body));
        if (body.length > before)
            tdm__str_addf(&links, "<a href=\"#%s\">%s</a>", sections[i].id, sections[i].name);
    }
    TDM_TRY(tdm__str_status(&body));
    TDM_TRY(tdm__str_status(&links));
    tdm__str_add(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                      "<meta name=\"generator\" content=\"tandem " TANDEM_VERSION "\">\n<title>");
    tdm__markup_text(out, r->title);
    tdm__str_add(out, "</title>\n<style>");
    tdm__str_add(out, tdm__html_css);
    tdm__str_add(out, tdm__chart_css);
    add_colours(r, out);
    tdm__str_add(out, "</style></head>\n<body><main>\n");
    TDM_TRY(tdm__html_head(r, out));
    tdm__str_add(out, "<nav>");
    tdm__str_add(out, tdm__str_text(&links));
    tdm__str_add(out, "</nav>\n");
    tdm__str_add(out, tdm__str_text(&body));
    tdm__str_add(out, "</main>\n<script>");
    tdm__str_add(out, tdm__html_script);
    tdm__str_add(out, "</script>\n</body></html>\n");
    TDM_TRY(tdm__str_status(out));
done:
    tdm__str_free(&body);
    tdm__str_free(&links);
    return status;
}
