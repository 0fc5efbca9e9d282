namespace ZeroFlow.Perf.Traces;

/// <summary>
/// Which device of a trace of several is wanted. Requests of different devices name the same offsets, so that mixing
/// them would make a load that nobody had.
/// </summary>
internal sealed class DeviceChoice(string? wanted)
{
    private readonly SortedSet<string> _seen = new(StringComparer.Ordinal);

    /// <summary>Whether a request to <paramref name="device"/> belongs to the trace.</summary>
    public bool Takes(string device)
    {
        _seen.Add(device);
        return wanted is null || device == wanted;
    }

    /// <summary>Called at the end of the trace.</summary>
    /// <exception cref="FormatException">Several devices and none chosen, or the chosen one has no request.</exception>
    public void Check()
    {
        if (wanted is null && _seen.Count > 1)
            throw new FormatException($"requests to several devices: choose one of {string.Join(' ', _seen)}");
        if (wanted is not null && !_seen.Contains(wanted))
            throw new FormatException($"no request to {wanted}, only to {string.Join(' ', _seen)}");
    }
}
