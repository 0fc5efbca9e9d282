namespace ZeroFlow.Host.Configuration;

/// <summary>A text that must not be seen: it prints as a placeholder, whatever prints it.</summary>
internal sealed class Secret(string text)
{
    private readonly string _text = text;

    /// <summary>The text itself, for the one who needs it.</summary>
    public string Reveal() => _text;

    /// <inheritdoc/>
    public override string ToString() => "(hidden)";
}
