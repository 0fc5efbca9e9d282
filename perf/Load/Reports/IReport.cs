using ZeroFlow.Perf.Plots;

namespace ZeroFlow.Perf.Reports;

/// <summary>What a comparison came to: stored as JSON, and shown to people as text and as pictures.</summary>
internal interface IReport
{
    string Markdown(string title);

    IReadOnlyList<PlotFile> Plots(string title);
}
