namespace ZeroFlow.Stages.Reading;

/// <summary>Remembers the last few names that were put in, without the frames. Not thread-safe.</summary>
internal sealed class FrameNameMemory(int namesMax)
{
    private readonly Dictionary<FrameKey, int> _places = [];
    private readonly List<FrameKey> _ring = [];
    private int _next;

    /// <summary>Remembers a name; the oldest one goes when there are too many.</summary>
    public void Remember(FrameKey key)
    {
        if (_ring.Count < namesMax)
        {
            _ring.Add(key);
        }
        else
        {
            // A name that was forgotten and remembered again has a younger place: this older one is void.
            if (_places.TryGetValue(_ring[_next], out int place) && place == _next) _places.Remove(_ring[_next]);
            _ring[_next] = key;
        }

        _places[key] = _next;
        _next = (_next + 1) % namesMax;
    }

    /// <summary>Forgets a name.</summary>
    /// <returns>Whether it was remembered.</returns>
    public bool Forget(FrameKey key) => _places.Remove(key);
}
