namespace ZeroFlow.Perf.Plots;

/// <summary>What an entry of the key shows beside its words.</summary>
internal enum KeyMark
{
    /// <summary>The colour of whoever the entry is about.</summary>
    Color,
    Whisker,
    Circle,
    Diamond,
    Stroke,
}

/// <summary>A line of the key.</summary>
/// <param name="Mark">What is shown.</param>
/// <param name="Who">Whose colour; empty for none.</param>
/// <param name="Text">What it means.</param>
internal sealed record KeyEntry(KeyMark Mark, string Who, string Text);

/// <summary>What a page of panels begins with.</summary>
internal sealed record PlotHead(string Title, IReadOnlyList<string> Notes, IReadOnlyList<KeyEntry> Key)
{
    /// <summary>The same with a note in front of the others.</summary>
    public PlotHead With(string note) => this with { Notes = [note, .. Notes] };
}
