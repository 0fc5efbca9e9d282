namespace ZeroFlow.Host.Live;

/// <summary>Estimates what the object store will bill.</summary>
internal static class LiveCosts
{
    /// <summary>Results of requests that the store answered as it should.</summary>
    public static readonly string[] Answered = ["ok", "exists", "missing", "cancelled"];

    private const double SecondsPerDay = 86400;
    private const double DaysPerMonth = 30;
    private const double Gigabyte = 1e9;

    // PUT, COPY, POST and LIST are one class of requests on S3's list, GET is the other; DELETE is free.
    private static readonly string[] PutKinds = ["create", "write", "list"];
    private static readonly string[] GetKinds = ["get"];

    /// <summary>A day like the time of <paramref name="change"/>, with the space that is taken at its end.</summary>
    public static LiveCost Of(PriceList prices, LiveChange change)
    {
        double puts = PerDay(change, PutKinds) / 1000 * prices.PutsPerThousand;
        double gets = PerDay(change, GetKinds) / 1000 * prices.GetsPerThousand;
        double bytes = change.Now.Sum("zeroflow_store_tables_bytes") + change.Now.Sum("zeroflow_store_map_bytes");
        double storage = bytes / Gigabyte * prices.StorageGigabyteMonth / DaysPerMonth;
        double transfer = change.Rate("zeroflow_store_bytes_total", ("type", "get")) * SecondsPerDay / Gigabyte * prices.TransferGigabyte;
        return new LiveCost(
            prices.Currency, puts + gets + storage + transfer, puts, gets, storage, transfer, change.Seconds,
            prices.PutsPerThousand, prices.GetsPerThousand, prices.StorageGigabyteMonth, prices.TransferGigabyte);
    }

    // What is refused with 5xx is not billed; what is answered, a 404 or a 412 included, is.
    private static double PerDay(LiveChange change, string[] kinds) => SecondsPerDay * kinds.Sum(kind =>
        Answered.Sum(result => change.Rate("zeroflow_store_requests_total", ("type", kind), ("result", result))));
}
